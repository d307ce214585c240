"""Create a job folder from the template files in this package."""

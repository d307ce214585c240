"""The Python API: a client for jobs, and functions that ask a teacher and train a student in a notebook."""

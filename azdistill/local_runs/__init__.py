"""Local runs of a job: bundle, simulated teachers, dry runs, and the folders that runs leave behind."""

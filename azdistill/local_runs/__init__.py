"""Local runs of a job: bundle, simulated teachers, dry runs and run folders."""

"""The job file: DistillationJob, its YAML, and the bundle that it compiles into."""

# Name of the job file of a folder.
JOB_FILE = "job.yaml"

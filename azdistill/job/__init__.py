"""The job file: DistillationJob, its YAML, and the bundle that it compiles into."""

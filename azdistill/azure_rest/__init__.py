"""Azure REST calls that steps make inside a job, without azure-ai-ml."""

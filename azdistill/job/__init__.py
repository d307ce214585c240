"""What the user writes: DistillationJob and its YAML."""

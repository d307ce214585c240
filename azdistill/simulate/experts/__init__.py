"""What the simulated teacher knows: one module per task."""

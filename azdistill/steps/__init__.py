"""One thin module per step of the pipeline."""

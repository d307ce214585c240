"""Fine-tuning of a student in transformers' Trainer, with our batches and losses in it."""

"""Fine-tuning of a student inside transformers' Trainer."""

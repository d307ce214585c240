"""Fine-tuning in transformers' Trainer, with batches, collator and losses of azdistill."""

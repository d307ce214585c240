"""The local engine: runs any pipeline YAML; knows nothing of distillation."""

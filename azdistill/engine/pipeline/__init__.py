"""Azure ML pipeline YAML as data; knows nothing of distillation."""

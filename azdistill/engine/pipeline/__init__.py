"""Azure ML pipeline YAML as data, independent of distillation."""

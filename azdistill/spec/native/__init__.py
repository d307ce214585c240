"""Azure's own distillation jobs (`type: distillation`), read as jobs of ours."""

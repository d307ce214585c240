"""A workspace of Azure ML: submit a bundle, follow it, fetch what it made. The only place that imports azure.ai.ml."""

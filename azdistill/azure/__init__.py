"""The only place that imports azure.ai.ml."""

"""A student's name and lineage in an MLflow registry."""

"""Shared data: errors and problems, row records, results, manifests, and the config of each step."""

"""Rendering of a run's manifests as HTML, Markdown and JSON."""

"""The Python API: a client for jobs, and the teacher and student stages as functions for a notebook."""

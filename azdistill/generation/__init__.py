"""Batched generation with a student, and its measurement."""

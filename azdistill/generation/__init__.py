"""Batched generation, measured; and talking to a student."""

"""Uploaded, never run: the simulated workspace runs no job."""

print("train")

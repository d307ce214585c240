"""Uploaded, never run: the stand-in runs no job."""

print("train")

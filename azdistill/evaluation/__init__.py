"""Task metrics with intervals, and the gates."""

"""Parallel nodes: worker processes run an entry script on mini-batches of an input."""

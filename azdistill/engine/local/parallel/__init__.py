"""Parallel nodes: worker processes that run an entry script on one mini-batch after the other."""

"""Sweep nodes: run trials concurrently and use the outputs of the best one."""

"""Sweep nodes: trials side by side, and the outputs of the best one."""

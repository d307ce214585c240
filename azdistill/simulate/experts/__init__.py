"""Programs that answer for the simulated teachers, one module per task.

`support` applies the policy of a shop. The others only give answers in the form of their task.
"""

"""What the simulated teacher answers: one module per task. `support` knows its policy; the others know nothing,
and rehearse the form of their task's answers."""

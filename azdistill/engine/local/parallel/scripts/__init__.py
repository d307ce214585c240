"""Programs that a node's own interpreter runs by path. They use the standard library, and pandas where the input is a
table."""

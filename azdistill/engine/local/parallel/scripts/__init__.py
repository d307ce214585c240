"""Programs that a node's own interpreter runs by their path, whatever is installed there: with the standard library
only, and pandas where the input is a table."""

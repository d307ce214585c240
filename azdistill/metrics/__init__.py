"""One short file per metric: its name and unit, how it is computed, and how it is shown and gated."""

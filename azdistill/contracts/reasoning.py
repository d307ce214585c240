"""Tags around the reasoning before an answer, as reasoning models write them."""

THINK, END_THINK = "<think>", "</think>"

"""One short file per task type: is this answer valid, what does it say, how is it scored."""

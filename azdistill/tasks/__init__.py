"""One short file per task type: prompts from rows, answers from texts, and when an answer is correct."""

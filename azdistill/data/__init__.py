"""The user's files to prompts, and completions to training rows."""

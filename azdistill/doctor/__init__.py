"""What stands between a user and a run: looked at one by one, each with what to do about it."""

"""Look: the commands that look at a journal."""

"""Loop: the user's handle on a run, the iterator that hands it out, and the same for a plain `for`."""

"""Words: the values that every other floor speaks in."""

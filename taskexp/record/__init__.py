"""Record: what is kept of a sweep."""

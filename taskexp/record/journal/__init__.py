"""Journal: what a sweep remembers; the only place that knows sqlite."""

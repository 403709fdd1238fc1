"""Report: what a sweep found, as a page: its plots, its table, two sweeps side by side, live while it runs."""

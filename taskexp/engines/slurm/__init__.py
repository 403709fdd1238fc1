"""Slurm: runs as steps of an allocation, or as jobs of an array."""

"""Dask: runs on the workers of a Dask cluster, each supervised there as it would be here."""

"""Evaluation of rows that stay in their partitions: workers of a Dask cluster read and predict them.

Not here: what is measured of their answers, which is the same as of rows in memory (`include.evaluation`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

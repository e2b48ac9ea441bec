"""Fits on a Dask cluster whose workers read the training rows themselves: `training.engine: dask`.

The driver holds what is narrow of the window: ids, times, target, weights, and scores. Features are read by workers, a partition
at a time; what is learned of them comes back as sums, counts and order statistics, and the trees of LightGBM are grown together.
Not here: trials of a search on a cluster (`include.training.model_selection.dask_cluster`), which need the rows in memory.
"""

PUBLIC: tuple[str, ...] = ("workers",)
"""The modules that other rooms may import."""

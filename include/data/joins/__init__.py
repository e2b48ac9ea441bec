"""Joins as of event time: columns of a second source, as they were known when a row happened.

`point_in_time` finds the newest row that was known, `windowed` adds up the known rows of a span of time, `exact_sums` keeps
sums free of what else is read. Not here: how the second source is read and stored, which is as for the model's own
(`include.data.ingestion.ingest`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

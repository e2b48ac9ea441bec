"""Data: from a source to partitions, snapshots and typed frames, correct in time.

Here are snapshots, windows, the random split of tables without event time, frames, and the files of the server's request
log. Sub-packages: `sources`, `columns`, `joins`, `ingestion` (what a source held, and when that was read), `quality`. Not here: learned preprocessing (`include.training`).
"""

PUBLIC: tuple[str, ...] = (
    "derived_columns",
    "frames",
    "random_split",
    "rare_levels",
    "request_files",
    "row_digests",
    "segment_log",
    "segments",
    "snapshots",
    "stored_partitions",
    "table_versions",
    "windows",
)
"""The modules that other rooms may import."""

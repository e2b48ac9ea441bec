"""Sources: rows from files, S3, SQL and Python functions, streamed in batches.

Each kind of source has a module with its name whose function ``read`` keeps the contract of `protocol`.

Not here: how files are written (`include.data.sources.formats`), types of columns (`include.data.columns.conversion`), what is kept of the rows (`include.data.ingestion.ingest`).
"""

PUBLIC: tuple[str, ...] = (
    "compression",
    "connections",
    "file_listing",
    "file_signatures",
    "files",
    "protocol",
    "registry",
    "sql",
)
"""The modules that other rooms may import."""

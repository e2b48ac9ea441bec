"""Sources that need an optional library: tables of a lake, SQL over files, and what a Spark cluster reads.

Each kind has a module with its name whose function ``read`` keeps the contract of `include.data.sources.protocol`.

Not here: the types of columns (`include.data.columns.conversion`), finding files (`include.data.sources.file_listing`).
"""

PUBLIC: tuple[str, ...] = ("delta", "iceberg_tables", "libraries", "s3_access")
"""The modules that other rooms may import."""

"""Formats of files: CSV and JSON Lines, Parquet, Excel workbooks, streamed in batches.

Not here: which files a source names and how they are unpacked (`include.data.sources`).
"""

PUBLIC: tuple[str, ...] = ("checked_text", "excel", "text")
"""The modules that other rooms may import."""

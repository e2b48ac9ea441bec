"""Rows: their sources and joins, what a run waits for, what must hold of them, and the segments that they fall into.

Not here: what a row is and which rows a run may see (`include.config.sections.data`).
"""

PUBLIC: tuple[str, ...] = ("joins", "lake", "quality", "rectify", "segments", "sources")
"""The modules that other rooms may import."""

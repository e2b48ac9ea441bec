"""Where rows come from: sources, second sources that are joined with them, what a run waits for, and the segments that rows fall into.

Not here: what a row is and which rows a run may see (`include.config.sections.data`).
"""

PUBLIC: tuple[str, ...] = ("joins", "lake", "rectify", "segments", "sources")
"""The modules that other rooms may import."""

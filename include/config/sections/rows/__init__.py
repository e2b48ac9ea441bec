"""Where rows come from: sources, and second sources that are joined with them.

Not here: what a row is and which rows a run may see (`include.config.sections.data`).
"""

PUBLIC: tuple[str, ...] = ("joins", "lake", "rectify", "sources")
"""The modules that other rooms may import."""

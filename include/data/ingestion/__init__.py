"""Ingestion: rows of the sources, stored as partitions by their content and recorded in a catalogue.

Not here: how a source is read (`include.data.sources`), what a snapshot says (`include.data.snapshots`), reading what is
stored (`include.data.frames`).
"""

PUBLIC: tuple[str, ...] = (
    "catalogue",
    "ingest",
    "lateness",
    "readings",
    "retract",
    "slot_reading",
)
"""The modules that other rooms may import."""

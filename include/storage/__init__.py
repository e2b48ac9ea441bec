"""Storage: objects in a folder or in S3, content addresses, and the append-only log.

Not here: what the objects mean.
"""

PUBLIC: tuple[str, ...] = (
    "answers",
    "checkpoints",
    "concurrency",
    "content",
    "copying",
    "entries",
    "local",
    "log",
    "opening",
    "probe",
    "remembering",
    "store",
    "tombstones",
)
"""The modules that other rooms may import."""

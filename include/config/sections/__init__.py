"""Sections of `model.yaml`, one module each.

Not here: reading the file and its errors (`include.config.load`).
"""

PUBLIC: tuple[str, ...] = (
    "behaviour",
    "data",
    "evaluation",
    "features",
    "notify",
    "resources",
    "serving",
    "slices",
    "sources",
    "training",
    "watch",
)
"""The modules that other rooms may import."""

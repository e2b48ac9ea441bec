"""Sections of `model.yaml`, one module each.

Not here: reading the file and its errors (`include.config.load`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

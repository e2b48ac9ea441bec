"""Leakage checks: tripwires of each training for information that it must not have.

Not here: quality of rows (`include.data.quality.check`).
"""

PUBLIC: tuple[str, ...] = (
    "checks",
    "tripwire",
)
"""The modules that other rooms may import."""

"""Leakage checks: tripwires that ask of each training whether it saw what it could not know.

Not here: quality of rows (`include.data.quality.check`).
"""

PUBLIC: tuple[str, ...] = (
    "checks",
    "tripwire",
)
"""The modules that other rooms may import."""

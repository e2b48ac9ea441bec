"""Performance after promotion: measured on matured labels, estimated before them, and compared during probation.

Not here: the gate's evidence (`include.evaluation`).
"""

PUBLIC: tuple[str, ...] = ("probation",)
"""The modules that other rooms may import."""

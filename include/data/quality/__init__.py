"""Quality: Great Expectations' checks of a snapshot, quarantined rows, and the page that shows both.

Not here: drift after promotion (`include.monitoring`), leakage checks (`include.leakage`).
"""

PUBLIC: tuple[str, ...] = (
    "check",
    "check_report",
    "distribution_charts",
    "page",
    "validation",
)
"""The modules that other rooms may import."""

"""Monitoring: a champion after its promotion: drift, performance, alarms, requests for retraining, probation.

Sub-packages: `drift`, `performance`, `report`, `sketches`. Not here: the scores that are watched (`include.scoring`).
"""

PUBLIC: tuple[str, ...] = (
    "alarms",
    "held_versions",
    "monitor",
    "segment_states",
    "watch_log",
    "withdrawal",
)
"""The modules that other rooms may import."""

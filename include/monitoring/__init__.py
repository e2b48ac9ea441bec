"""Monitoring of a champion: drift, performance, alarms, retraining requests, probation.

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

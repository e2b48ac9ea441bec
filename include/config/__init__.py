"""Configuration: what `model.yaml` and a deployment's environment declare, as typed and validated objects.

Each section of `model.yaml` has a module in `sections`. Not here: any library that trains, so that DAG files parse quickly.
"""

PUBLIC: tuple[str, ...] = (
    "code",
    "durations",
    "free_values",
    "load",
    "model",
    "names",
    "reference",
    "schedule_ticks",
    "section",
    "settings",
    "time_zones",
    "yaml_text",
)
"""The modules that other rooms may import."""

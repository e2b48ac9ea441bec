"""Configuration: what `model.yaml` and a deployment's environment declare, as typed and validated objects.

Each section of `model.yaml` has a module in `sections`. Not here: any library that trains, so that DAG files parse quickly.
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

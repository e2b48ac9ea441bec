"""The local Airflow of `make demo` and `make up`: its environment, processes, backfills and progress.

Not here: a deployment's Airflow (docker-compose.yaml, kubernetes/).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

"""Command line: `python -m include` and its commands.

Not here: what the commands show; that is the other rooms' work. The local Airflow of `make demo` is in `local_airflow`.
"""

PUBLIC: tuple[str, ...] = ("app",)
"""The modules that other rooms may import."""

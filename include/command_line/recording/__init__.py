"""Recording: commands that put something on record, by the person who types them.

Not here: commands that only read (`include.command_line.ledger_queries`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

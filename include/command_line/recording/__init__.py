"""Recording: commands that write to the ledger, with the person who runs them as actor.

Not here: commands that only read (`include.command_line.ledger_queries`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

"""Naming: how a person calls a version, by its id, a tag or an alias.

Not here: who is champion, which the gate decides and `include.registry.timeline` tells.
"""

PUBLIC: tuple[str, ...] = ("aliases", "lookup", "tags")
"""The modules that other rooms may import."""

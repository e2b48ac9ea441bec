"""Naming: how a person calls a version, by its id, a tag or an alias; and a model that was renamed.

Not here: who is champion, which the gate decides and `include.registry.timeline` tells.
"""

PUBLIC: tuple[str, ...] = ("aliases", "lookup", "renamed", "tags")
"""The modules that other rooms may import."""

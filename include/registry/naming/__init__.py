"""Naming: ids, tags and aliases of versions, and former names of a model.

Not here: who is champion, which the gate decides and `include.registry.timeline` tells.
"""

PUBLIC: tuple[str, ...] = ("aliases", "lookup", "renamed", "tags")
"""The modules that other rooms may import."""

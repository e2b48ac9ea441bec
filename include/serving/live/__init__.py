"""Loaded versions of the server: one version, and the versions of segments.

Not here: which version of all rows answers, and who watches (`include.serving.live_versions`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

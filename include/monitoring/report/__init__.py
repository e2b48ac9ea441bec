"""Report: what people and Prometheus are told of a champion that is watched.

Not here: the pages themselves (`plugins/ratchet_ui`).
"""

PUBLIC: tuple[str, ...] = ()
"""The modules that other rooms may import."""

"""A small model with one champion, for the operators that watch it."""

from watched import april  # noqa: F401 (a fixture)

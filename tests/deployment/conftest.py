"""A small model with one champion, for what is told of its watching."""

from watched import april  # noqa: F401 (a fixture)

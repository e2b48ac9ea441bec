"""A small model with one champion, watched day by day."""

from watched import april  # noqa: F401 (a fixture)

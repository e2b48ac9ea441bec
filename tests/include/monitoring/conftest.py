"""A small model with one champion, watched day by day, and one with champions of segments."""

from turned_segments import scored_segments  # noqa: F401 (a fixture)
from watched import april  # noqa: F401 (a fixture)

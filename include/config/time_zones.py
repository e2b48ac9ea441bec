"""Time zones by their IANA names."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("expected an IANA time zone such as UTC or Europe/Berlin") from None
    return name


Zone = Annotated[str, AfterValidator(_known)]
"""A name such as `Europe/Berlin`."""

Ambiguous = Literal["refuse", "earlier", "later"]


class Clock(str):
    """The name of a zone, and which instant is meant by a time that its clocks show twice or never.

    Parameters
    ----------
    name : str
        An IANA name.
    ambiguous : {"refuse", "earlier", "later"}
    """

    ambiguous: Ambiguous

    def __new__(cls, name: str, ambiguous: Ambiguous = "refuse") -> Clock:
        """Return the name with what it means."""
        clock = super().__new__(cls, name)
        clock.ambiguous = ambiguous
        return clock

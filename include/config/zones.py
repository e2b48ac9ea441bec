"""Time zones by their IANA names."""

from __future__ import annotations

from typing import Annotated
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

"""The error that a pipeline has no compiled form."""

from __future__ import annotations

from include.errors import RatchetError


class NotCompiled(RatchetError):
    """A pipeline can't be predicted row by row without a frame; the message says why."""

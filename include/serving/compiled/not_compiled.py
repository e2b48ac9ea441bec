"""The error for a pipeline that can't be compiled."""

from __future__ import annotations

from include.errors import RatchetError


class NotCompiled(RatchetError):
    """A pipeline can't be predicted row by row without a frame; the message says why."""

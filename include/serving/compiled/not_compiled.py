"""The error for a pipeline that can't be compiled."""

from __future__ import annotations

from include.errors import RatchetError


class NotCompiled(RatchetError):
    """A pipeline can't be compiled for single rows; the message gives the reason."""

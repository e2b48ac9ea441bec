"""Stores that sync what they write."""

from __future__ import annotations

import os

import pytest
from syncing import sync


@pytest.fixture(autouse=True)
def synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sync be waited for."""
    monkeypatch.setattr(os, "fsync", sync)

"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 600
"""Seconds; a busy machine takes most of them, a failure all."""


def until(found: Callable[[], Any], what: str) -> Any:
    """Return the first answer that is true; fail, and name what did not come, after ten minutes."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.2)
    return answer

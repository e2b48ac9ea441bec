"""How much Python runs: the shape of work, whatever the machine's speed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any


def opcodes_in(file: str, work: Callable[[], Any], *, but: Collection[str] = ()) -> int:
    """Return how many instructions of a module's code run, not counting those of some functions by their qualified names."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != file or frame.f_code.co_qualname in but:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count

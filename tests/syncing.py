"""Syncs of files, which tests do without.

Only a cut of power loses what a process wrote and did not sync, and no test cuts it: a run would wait for a hundred thousand of them.
That a store syncs, and in which order, is asked in tests/include/storage, where syncs are as ever.
"""

from __future__ import annotations

import os

sync = os.fsync


def skip_syncs() -> None:
    """Let this process wait for none."""
    os.fsync = lambda fd: None

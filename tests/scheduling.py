"""Which tests one process of a parallel run gets together: those that share an Airflow."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SHARE_ONE_SITE = ("test_access", "test_hostile_text", "test_models_page", "test_watch_page")
"""Files of tests/browser that use the session's site."""
SHARE_NOTHING = ("tests/system/test_commands.py", "tests/system/test_ended_demo.py")
"""Files whose every test starts what it needs."""


class BySite(LoadScopeScheduling):
    """``--dist loadfile`` with units that are what is set up once: a file, several, or a test."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file in {f"tests/browser/{name}.py" for name in SHARE_ONE_SITE}:
            return "tests/browser"
        return nodeid if file in SHARE_NOTHING else file

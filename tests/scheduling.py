"""Which tests one process of a parallel run gets together: those that share an Airflow."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

SITES = {
    "tests/browser": ("test_access.py", "test_hostile_text.py", "test_models_page.py", "test_watch_page.py"),
    "tests/system": ("test_told.py", "test_faults.py"),
}
"""Files that use a site of the session, by their folder."""
ALONE = ("tests/system/test_commands.py", "tests/system/test_ended_demo.py")
"""Files whose every test starts what it needs."""


class BySite(LoadScopeScheduling):
    """``--dist loadfile`` with units that are what is set up once: a file, several, or a test."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder, _, name = file.rpartition("/")
        if name in SITES.get(folder, ()):
            return folder
        return nodeid if file in ALONE else file

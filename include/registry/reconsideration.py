"""Decide on a held version again, with rows whose labels have matured since."""

from __future__ import annotations

from include.errors import RegistryError
from include.registry.rollback import find_version
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome


def find_held(timeline: Timeline, wanted: str | None) -> str:
    """Return the version that a form names; the newest that is held, if it names none.

    Raises
    ------
    RegistryError
        When there is none of that name, or none is held.
    """
    if wanted is not None and wanted.strip():
        return find_version(timeline, wanted)
    for standing in reversed(timeline.standings):
        if standing.decision is not None and standing.decision.outcome is Outcome.HOLD and standing.withdrawn is None:
            return standing.version
    raise RegistryError("No version is held.", expected="a version whose last decision is HOLD", found="none")

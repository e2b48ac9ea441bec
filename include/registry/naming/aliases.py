"""Aliases of versions: free names beside the champion, such as `canary`, that a person moves with a reason.

They are facts of the ledger and decide nothing: the gate, `settle` and the champion's timeline do not read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from include.errors import RegistryError, did_you_mean
from include.registry.naming.tags import NAME, Event, stated_reason
from include.registry.timeline import Timeline
from include.registry.version_states import ALIASED, Outcome, VersionState
from include.storage.log import Entry

_LIKE_AN_ID = re.compile(r"[0-9a-f-]+")
_TAKEN = ("champion", "predecessor", "held")


@dataclass(frozen=True)
class AliasMove:
    """One event that gave an alias to a version, or took it back.

    Attributes
    ----------
    before, version : str or None
        The version that it pointed at before, and since; None for none.
    """

    alias: str
    before: str | None
    version: str | None
    entry: Entry


def alias_event(
    timeline: Timeline, alias: str, version: str | None, reason: str, actor: dict[str, Any]
) -> Event | None:
    """Return the event that points an alias at a version, or removes it; None if nothing changes.

    Parameters
    ----------
    timeline : Timeline
        As the events before it make it.
    version : str or None
        The version's id; None to take the alias back.
    reason : str
        Why, for people.
    actor : dict
        Who does it, as in every event.

    Raises
    ------
    RegistryError
        When no reason is given, the name can't be an alias, nothing has it that it could be taken from, or the gate neither
        promoted nor holds the version.
    """
    reason = stated_reason(reason, "An alias")
    if NAME.fullmatch(alias) is None or _LIKE_AN_ID.fullmatch(alias) is not None or alias in _TAKEN:
        raise RegistryError(
            "This can't be an alias.",
            expected=f"a lower case letter, then letters, digits, `_`, `.` or `-`; unlike a version's id, and none of {', '.join(_TAKEN)}",
            found=alias[:80],
            remedy="a version comes into force as champion by the gate alone" if alias == "champion" else None,
        )
    holder = next((one for one in timeline.standings if alias in one.aliases), None)
    if version is None:
        if holder is None:
            known = sorted(name for one in timeline.standings for name in one.aliases)
            raise RegistryError(
                f"No version has the alias {alias}.",
                expected=", ".join(known) or "an alias; the model has none",
                found=alias,
                remedy=did_you_mean(alias, known, mark=""),
            )
        return ALIASED, {"version": holder.version, "alias": alias, "given": False, "reason": reason, "actor": actor}
    _require_nameable(timeline[version])
    if holder is not None and holder.version == version:
        return None
    return ALIASED, {"version": version, "alias": alias, "given": True, "reason": reason, "actor": actor}


def alias_moves(entries: Iterable[Entry]) -> Iterator[AliasMove]:
    """Yield every event that moved an alias, the oldest first."""
    points: dict[str, str | None] = {}
    for entry in entries:
        if entry.kind == ALIASED:
            alias = str(entry.body["alias"])
            before, points[alias] = points.get(alias), entry.body["version"] if entry.body["given"] else None
            yield AliasMove(alias, before, points[alias], entry)


def _require_nameable(standing: VersionState) -> None:
    """Raise `RegistryError` unless the gate promoted or holds a version that was neither withdrawn nor rebuilt."""
    outcome = standing.decision.outcome if standing.decision else None
    replaced = standing.withdrawn is not None or standing.rebuilt_as is not None
    if replaced or outcome not in (Outcome.PROMOTE, Outcome.HOLD):
        state = f"rebuilt as {standing.rebuilt_as}" if standing.rebuilt_as else outcome or "not decided on"
        raise RegistryError(
            "An alias points only at what the gate promoted or holds.",
            expected="PROMOTE or HOLD, neither withdrawn nor rebuilt",
            found="withdrawn" if standing.withdrawn is not None else state,
            where=standing.version,
        )

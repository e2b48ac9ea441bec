"""Find the events of a ledger that changed the champion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from include.registry.timeline import apply_event
from include.registry.version_states import VersionState
from include.storage.log import Entry


@dataclass(frozen=True)
class ChampionChange:
    """One event of the ledger, after which another version is the champion than before it.

    Attributes
    ----------
    entry : Entry
        The event; its number orders the changes, and its digest names it.
    before : str or None
        The champion before the event; None if there was none.
    champion : VersionState or None
        The champion since; None if no promoted version is left.
    """

    entry: Entry
    before: str | None
    champion: VersionState | None

    @property
    def version(self) -> str | None:
        """The id of the champion since."""
        return None if self.champion is None else self.champion.version


def champion_changes(entries: Iterable[Entry]) -> Iterator[ChampionChange]:
    """Yield the events that changed the champion, by folding the ledger before and after each of them."""
    standings: dict[str, VersionState] = {}
    champion: VersionState | None = None
    for entry in entries:
        before = None if champion is None else champion.version
        apply_event(entry, standings)
        changed = standings[entry.body["version"]]
        # Only its own withdrawal leaves all others unchanged; the other kinds of event change two versions or more.
        if before == changed.version or entry.kind in ("rebuilt", "withdrawn"):
            in_line = (standing for standing in standings.values() if standing.in_line)
            champion = max(in_line, key=lambda standing: standing.order, default=None)
        elif changed.in_line and (champion is None or changed.order > champion.order):
            champion = changed
        if (None if champion is None else champion.version) != before:
            yield ChampionChange(entry, before, champion)


def own_change(entries: Iterable[Entry], actor: dict[str, Any]) -> ChampionChange | None:
    """Return the newest change of the champion if the task that ``actor`` names wrote it; None otherwise.

    So a task that was killed after it had written finds its change again when it is repeated. A change that another task has
    superseded is not announced any more: the other task announces its own.

    Parameters
    ----------
    actor : dict
        With ``dag``, ``run`` and ``task``, as in the events that the task writes.
    """
    changes = tuple(champion_changes(entries))
    if not changes:
        return None
    # Events of release 0.1 do not say which task of the run wrote them.
    by = {"task": actor["task"], **changes[-1].entry.body["actor"]}
    same = all(by.get(name) == actor[name] for name in ("dag", "run", "task"))
    return changes[-1] if same else None

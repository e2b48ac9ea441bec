"""Withdraw a version on a person's request, and tell which version is champion afterwards."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.errors import RegistryError
from include.registry.ledger import Ledger
from include.registry.naming.lookup import CHAMPION, find_version, listed
from include.registry.timeline import Timeline, fold
from include.storage.content import to_iso
from include.storage.log import Entry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RolledBack:
    """What a withdrawal did."""

    version: str
    before: str | None
    """The champion before it."""
    champion: str | None
    """The champion since; None if no promoted version is left."""
    stale: tuple[str, ...]
    """Backfilled versions that were decided against the withdrawn one; the next run of `settle` decides them again."""


def roll_back(
    ledger: Ledger, wanted: str | None, reason: str, *, asked: datetime, actor: dict[str, Any], at: datetime
) -> RolledBack:
    """Withdraw a version; the champion before it is in force with the same event.

    Bound to the run that asks: repeated by the same run it finds its own withdrawal, and "the champion" is the one of when
    it was triggered. If another one is in force by now, by a second click or a retraining, nothing is withdrawn. What was decided against the version is left as it is: `settle` measures it again in the next retraining,
    and a person who rolls back gets exactly the champion that is named here, at once.

    Parameters
    ----------
    wanted : str or None
        The version; None for the champion at ``asked``.
    asked : datetime
        When the run was triggered.
    actor : dict
        With the ``run`` that asks.

    Raises
    ------
    RegistryError
        When there is no such version, it is withdrawn already, another one is the champion by now, or no reason is given.
    """
    own = _withdrawal(ledger.entries(), actor)
    if own is None:
        timeline = ledger.timeline()
        version = find_version(timeline, wanted)
        name = "" if wanted is None or _blank(wanted) else wanted.strip()
        then: str | None = version
        if not name or name in timeline.aliases:
            known = ledger.timeline(recorded_by=asked)
            then = known.aliases.get(name) if name else known.champion
        if then != version:
            raise RegistryError(
                f"{name or 'The champion'} changed after this run was triggered.",
                expected=f"{then or 'none'} at {to_iso(asked)}",
                found=f"{version}; of the other: {_what_became_of(timeline, then)}",
                remedy=f"nothing was withdrawn; to withdraw {version}, name it",
            )
        if (reason_then := timeline[version].withdrawn) is not None:
            raise RegistryError(
                f"{version} is withdrawn already.",
                found=f"reason then: {reason_then}",
                remedy=f"nothing to do; the champion is {timeline.champion}",
            )
        ledger.withdraw(version, reason, actor=actor, at=at)
        own = _withdrawal(ledger.entries(), actor)
        if own is None:
            raise RegistryError(f"Another run has just withdrawn {version}.", found="a withdrawal by another run")
    entries = ledger.entries()
    version = own.body["version"]
    before, after = fold(entries[: own.number]), fold(entries[: own.number + 1])
    stale = tuple(
        standing.version
        for standing in after.standings
        if standing.decision is not None
        and standing.may_change
        and after.original_of(standing.decision.incumbent) == after.original_of(version)
    )
    log.info("%s is withdrawn for good: %s", version, own.body["reason"])
    if before.champion != after.champion:
        log.info("in force is now: %s", after.champion or "no version at all")
    else:
        log.info("it was not in force; the champion is still %s", after.champion)
    if stale:
        log.info("decided against it, to be decided again by the next retraining: %s", listed(stale))
    return RolledBack(version, before.champion, after.champion, stale)


def _what_became_of(timeline: Timeline, version: str | None) -> str:
    if version is None or (reason := timeline[version].withdrawn) is None:
        return "not withdrawn"
    return f"withdrawn, {reason}"


def _blank(wanted: str | None) -> bool:
    return wanted is None or wanted.strip() in ("", CHAMPION)


def _withdrawal(entries: tuple[Entry, ...], actor: dict[str, Any]) -> Entry | None:
    def by_us(entry: Entry) -> bool:
        who = entry.body["actor"]
        return entry.kind == "withdrawn" and (who.get("dag"), who.get("run")) == (actor["dag"], actor["run"])

    return next(filter(by_us, entries), None)

"""Champion timeline: which version was, is or would be the champion, computed from the ledger's events.

Versions have one order: by as-of, and at the same as-of by registration. The incumbent of a version is the
promoted, not withdrawn version before it in that order. A version that was trained again under other libraries has the place of the
version that it rebuilds. Since the order does not depend on when runs happened, neither
does the timeline.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from include.errors import RegistryError
from include.registry.gate.error_budget import BudgetHistory, left_for
from include.registry.version_states import ALIASED, TAGGED, Decision, Origin, Trigger, VersionState
from include.storage.content import build, from_iso, known_fields
from include.storage.log import Entry

SHORTEST = 4
"""How much of an id must be given at least for it to be taken for the whole."""


@dataclass(frozen=True)
class Timeline:
    """All versions of a model in their order, folded from its events."""

    standings: tuple[VersionState, ...] = ()

    @cached_property
    def _by_version(self) -> dict[str, VersionState]:
        return {standing.version: standing for standing in self.standings}

    def __getitem__(self, version: str) -> VersionState:
        if (standing := self._by_version.get(version)) is not None:
            return standing
        raise RegistryError(
            f"The ledger does not know version {version}.",
            expected="a registered version",
            found=version,
            remedy="run the DAG's select task, which registers it",
        )

    def __contains__(self, version: object) -> bool:
        return version in self._by_version

    def named(self, text: str) -> list[str]:
        """Return the versions that a text may mean: that of the id or alias, or all whose id or digest begins with it."""
        if text in self:
            return [text]
        if (pointed := self.aliases.get(text)) is not None:
            return [pointed]
        if len(text) < SHORTEST:
            return []
        found = [standing.version for standing in self.standings]
        return [version for version in found if text in (version[: len(text)], version.partition("-")[2][: len(text)])]

    @property
    def aliases(self) -> dict[str, str]:
        """The version that each alias points at; an alias of a withdrawn version points at none."""
        here = [one for one in self.standings if one.aliases and one.withdrawn is None]
        return {alias: standing.version for standing in here for alias in standing.aliases}

    def original_of(self, version: str | None) -> str | None:
        """Return the version that a version rebuilds, itself if it rebuilds none: equal versions have one original."""
        return self[version].original if version is not None and version in self else version

    def in_place_of(self, version: str) -> str:
        """Return the version that replaced a version: itself, unless it was rebuilt."""
        while version in self and (rebuilt := self[version].rebuilt_as) is not None:
            version = rebuilt
        return version

    def incumbent_of(self, version: str, *, since: datetime | None = None) -> str | None:
        """Return the version that a challenger is to be measured against, or None for the first.

        Parameters
        ----------
        since : datetime, optional
            The instant from which it would be in force, if that is not its own as-of.
        """
        standing = self[version]
        order = standing.order if since is None else (since, standing.order[1])
        place = bisect_left(self._in_line, order, key=lambda other: other.order)
        return self._in_line[place - 1].version if place else None

    def champion_as_of(self, instant: datetime) -> str | None:
        """Return the promoted, not withdrawn version with the greatest as-of at or before ``instant``."""
        place = bisect_right(self._in_line, instant, key=lambda standing: standing.since)
        return self._in_line[place - 1].version if place else None

    @cached_property
    def _in_line(self) -> tuple[VersionState, ...]:
        return tuple(standing for standing in self.standings if standing.in_line)

    @property
    def champion(self) -> str | None:
        """The champion at the end of time."""
        return self._in_line[-1].version if self._in_line else None

    def champions(self) -> list[tuple[datetime, str]]:
        """Return who is in force from when: the instants at which the champion changes, with the new one."""
        last = {
            standing.since: standing.version for standing in self._in_line
        }  # of several at one instant the last is in force
        return list(last.items())

    def left_for(self, version: str, a_year: float, *, since: datetime | None = None) -> float:
        """Return how many wrong promotions are left to risk for a version; see `include.registry.gate.error_budget.left_for`.

        One that is not registered, in a dry run, is decided on last: then ``since`` is needed.
        """
        if version in self:
            standing = self[version]
            return left_for(self.standings, (since or standing.as_of, standing.order[1]), a_year)
        assert since is not None  # noqa: S101 (held by the caller)
        after = max((standing.registered for standing in self.standings), default=0) + 1
        return left_for(self.standings, (since, after), a_year)

    def first_to_decide_again(self) -> str | None:
        """Return the earliest version whose backfilled decision no longer follows from those before it.

        Another version is the incumbent now, or other decisions have left more or less of `gate.lifetime` for it. A rebuilt
        version is no other one: it predicts the same, and what was decided against the version that it rebuilds stands.
        """
        originals = {standing.version: standing.original for standing in self.standings}
        incumbent: str | None = None
        histories: dict[float, BudgetHistory] = {}
        for standing in self.standings:
            decision = standing.decision
            if decision is not None and standing.may_change:
                if originals.get(str(decision.incumbent), decision.incumbent) != incumbent:
                    return standing.version
                told = decision.lifetime
                if told is not None:
                    budgets = histories.get(told["a_year"]) or BudgetHistory(self.standings, told["a_year"])
                    histories[told["a_year"]] = budgets
                    if budgets.left_for(standing.order) != told["left"]:
                        return standing.version
            if standing.in_line:
                incumbent = standing.original
        return None


def fold(entries: Iterable[Entry]) -> Timeline:
    """Fold a ledger's events into its timeline.

    Raises
    ------
    RegistryError
        When an event is of a kind that this release does not know, or says what no event can say.
    """
    standings: dict[str, VersionState] = {}
    for entry in entries:
        try:
            apply_event(entry, standings)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RegistryError(
                "An event of the ledger can't be understood.",
                expected="a body as a release of Ratchet writes it, about a version that is registered before",
                found=f"{type(error).__name__} in an event of kind {entry.kind}",
                where=f"event {entry.number}",
                remedy="find out which other programs write to the store: the chain is intact, so the event was written in this form",
            ) from error
    return Timeline(tuple(sorted(standings.values(), key=lambda standing: standing.order)))


def apply_event(entry: Entry, standings: dict[str, VersionState]) -> None:
    """Apply one event to the state of its version."""
    body = entry.body
    name = body["version"]
    if entry.kind == "registered":
        facts = {
            "version": name,
            "as_of": from_iso(body["as_of"]),
            "registered": entry.number,
            "trigger": Trigger(body["actor"]["trigger"]),
            "record": body.get("record"),
            "model_file": body["model_file"],
        }
        if (origin := body.get("origin")) is not None:
            facts["origin"] = Origin(**known_fields(Origin, origin))
        standings.setdefault(name, build(VersionState, facts))
    elif entry.kind == "decided":
        before, decision = standings[name], Decision.from_json(body)
        looked = before.decision is not None and before.decision.as_of != decision.as_of
        earlier = before.looks if looked else before.earlier
        standings[name] = _changed(before, decision=decision, decided=entry.number, earlier=earlier)
    elif entry.kind == "rebuilt":
        _rebuild(entry, standings)
    elif entry.kind == ALIASED:
        _move_alias(body, standings)
    elif entry.kind == TAGGED:
        others = [(key, value) for key, value in standings[name].tags if key != body["key"]]
        own = [] if body["value"] is None else [(body["key"], body["value"])]
        standings[name] = _changed(standings[name], tags=tuple(sorted(others + own)))
    elif entry.kind == "withdrawn":
        original = standings[name].original
        for equal in [one for one in standings.values() if one.original == original]:
            standings[equal.version] = _changed(equal, withdrawn=body["reason"])
    else:
        raise RegistryError(
            "The ledger holds an event that this release does not know.",
            expected="registered, decided, rebuilt, aliased, tagged or withdrawn",
            found=entry.kind,
            where=f"event {entry.number}",
            remedy="use the release of Ratchet that wrote it, or a newer one",
        )


def _rebuild(entry: Entry, standings: dict[str, VersionState]) -> None:
    """Give a rebuilt version the place, the trigger and the decisions of the version that was in it.

    What the rebuilt version was decided on by itself, if a run trained it before, still counts for `gate.lifetime`.
    """
    before, rebuilt = standings[entry.body["rebuild_of"]], standings[entry.body["version"]]
    own = () if rebuilt.original == before.original else rebuilt.looks
    standings[before.version] = _changed(before, rebuilt_as=rebuilt.version, aliases=())
    standings[rebuilt.version] = _changed(
        rebuilt,
        trigger=before.trigger,
        decision=before.decision,
        decided=entry.number,
        earlier=(*own, *before.earlier),
        rebuild_of=before.original,
        rebuilt_as=None,
        place=before.order[1],
        aliases=(*rebuilt.aliases, *before.aliases),
    )


def _move_alias(body: dict[str, Any], standings: dict[str, VersionState]) -> None:
    """Take an alias from the version that has it, and give it to another one unless it is taken back."""
    alias = body["alias"]
    for standing in [one for one in standings.values() if alias in one.aliases]:
        left = tuple(name for name in standing.aliases if name != alias)
        standings[standing.version] = _changed(standing, aliases=left)
    if body["given"]:
        named = standings[body["version"]]
        standings[named.version] = _changed(named, aliases=(*named.aliases, alias))


def _changed(standing: VersionState, **changes: Any) -> VersionState:
    return build(VersionState, {**vars(standing), **changes})

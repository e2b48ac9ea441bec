"""State of one version: when it is registered, what was decided on it, and whether it is in force or withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from include.errors import RegistryError
from include.storage.content import build, from_iso, known_fields, to_iso

ALIASED, TAGGED = "aliased", "tagged"
"""The kinds of event that name a version; see `include.registry.naming`."""


class Outcome(StrEnum):
    """What a policy can say of evidence."""

    PROMOTE = "PROMOTE"
    HOLD = "HOLD"
    REJECT = "REJECT"
    INCOMPARABLE = "INCOMPARABLE"


class Trigger(StrEnum):
    """What made a run happen; only what a backfill decided may be decided again by `settle`."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"


@dataclass(frozen=True)
class Decision:
    """The body of a ``decided`` event."""

    version: str
    outcome: Outcome
    reason: str
    incumbent: str | None
    evidence: str | None
    """Digest of what was measured; None of a version that could not be measured, for which the reason says why."""
    policy: str
    config: str
    primary: dict[str, Any]
    """The primary metric of challenger (with its interval) and incumbent, the gain between them and its bounds."""
    actor: dict[str, Any]
    again: bool = False
    """Whether `settle` decided it again because its incumbent changed."""
    as_of: str | None = None
    """The instant whose rows it was decided on, if that is later than the version's own: a held version reconsidered."""
    lifetime: dict[str, float] | None = None
    """With `gate.lifetime`: what was `left` to risk, the `level` that allowed, what was `spent`, and what a policy allows `a_year`."""
    approval: dict[str, Any] | None = None
    """Where a person was to decide: what the gate alone said, and who answered what, when, why and to which question."""

    @property
    def by_gate(self) -> Outcome:
        """What the gate alone said."""
        return self.outcome if self.approval is None else Outcome(self.approval["gate"])

    @property
    def by_person(self) -> bool:
        """Whether a person's answer made it: such a decision is a fact, like that of a live run."""
        return self.approval is not None and self.approval["answer"] in ("approved", "rejected")

    @property
    def overrides(self) -> bool:
        """Whether a person promoted what the gate alone would not have."""
        return self.outcome is Outcome.PROMOTE and self.by_gate is not Outcome.PROMOTE

    def to_json(self) -> dict[str, Any]:
        """Return the event's body."""
        body = {**self.__dict__, "outcome": self.outcome.value}
        if self.lifetime is None:
            del body["lifetime"]  # a model without `gate.lifetime` has the events that it always had
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Decision:
        """Read an event's body, of any release."""
        return build(cls, {**known_fields(cls, body), "outcome": Outcome(body["outcome"])})


@dataclass(frozen=True)
class Origin:
    """Where a version came from that was not trained in this store: the decision of another stage that promoted it there.

    Attributes
    ----------
    store : str
        The address of the other store.
    event : int
        The number of the other ledger's event.
    digest : str
        The digest of that event, of which a copy is kept.
    """

    store: str
    event: int
    digest: str

    def key(self, model: str) -> str:
        """Return where the copy of the event is kept."""
        return f"{model}/origins/{self.digest}.json"


@dataclass(frozen=True)
class VersionState:
    """Where one version stands."""

    version: str
    as_of: datetime
    registered: int
    """The number of the event that registered it."""
    trigger: Trigger
    decision: Decision | None = None
    decided: int | None = None
    """The number of the event that decided on it."""
    withdrawn: str | None = None
    """The reason, once it is withdrawn."""
    record: str | None = None
    """Digest of the version's record. None of one that release 0.1 registered."""
    model_file: str | None = None
    """Digest of its model file."""
    earlier: tuple[Decision, ...] = ()
    """What was decided on older rows, of a version that was reconsidered."""
    rebuild_of: str | None = None
    """Of a rebuilt version: the first version that was trained from the same record, whose place and decision it has."""
    rebuilt_as: str | None = None
    """Of a version that was trained again under other libraries: the version that has its place now."""
    place: int | None = None
    """Of a rebuilt version: the number of the event that registered the first one."""
    aliases: tuple[str, ...] = ()
    """The aliases that point at it. Those of a version that was trained again point at its equal."""
    tags: tuple[tuple[str, str], ...] = ()
    """What was said of this very version, by key."""
    origin: Origin | None = None
    """Where it came from; None of one that was trained in this store."""

    @property
    def order(self) -> tuple[datetime, int]:
        """Its place among the versions: from when it can be in force, then when it, or the version that it rebuilds, was registered."""
        return self.since, self.registered if self.place is None else self.place

    @property
    def original(self) -> str:
        """The version that it rebuilds; itself, of a version that rebuilds none."""
        return self.version if self.rebuild_of is None else self.rebuild_of

    @property
    def since(self) -> datetime:
        """Its as-of; for a version that was reconsidered, the as-of of the rows that it was then decided on."""
        return self.as_of if self.decision is None else self.look(self.decision)

    @property
    def looks(self) -> tuple[Decision, ...]:
        """Its decisions that stand: the last one on its own rows, and on the rows of each reconsideration."""
        return self.earlier if self.decision is None else (*self.earlier, self.decision)

    def look(self, decision: Decision) -> datetime:
        """Return the instant whose rows one of its decisions was made on."""
        return self.as_of if decision.as_of is None else from_iso(decision.as_of)

    @property
    def may_change(self) -> bool:
        """Whether `settle` may decide it again: what a live run or a person decided, or reconsidered, is a fact; what is withdrawn stays so."""
        decision = self.decision
        if decision is None or decision.as_of is not None or decision.by_person:
            return False
        if self.withdrawn is not None or self.rebuilt_as is not None:
            return False
        # A live run may have decided again on what a backfill had registered; that `settle` did so in a live run is no such decision.
        if not decision.again and decision.actor.get("trigger", Trigger.BACKFILL) != Trigger.BACKFILL:
            return False
        return self.trigger is Trigger.BACKFILL

    @property
    def in_line(self) -> bool:
        """Whether it was promoted, is not withdrawn, and no rebuilt version has its place."""
        promoted = self.decision is not None and self.decision.outcome is Outcome.PROMOTE
        return promoted and self.withdrawn is None and self.rebuilt_as is None

    @property
    def waits(self) -> bool:
        """Whether it waits for the gate: it is held, or came from another stage and is not decided on."""
        held = self.origin is not None if self.decision is None else self.decision.outcome is Outcome.HOLD
        return held and self.withdrawn is None


def require_held(standing: VersionState, as_of: datetime) -> None:
    """Raise `RegistryError` unless a version is held on rows older than ``as_of``, or came from another stage and waits."""
    decision = standing.decision
    if not standing.waits:
        state = decision.outcome if decision else "not decided on"
        raise RegistryError(
            "Only a held version can be reconsidered.",
            expected="HOLD",
            found="withdrawn" if standing.withdrawn is not None else state,
            where=standing.version,
        )
    if as_of <= standing.since:
        raise RegistryError(
            "Nothing can have matured since.",
            expected=f"an as-of after {to_iso(standing.since)}, of which its rows are",
            found=to_iso(as_of),
            where=standing.version,
        )


def require_replaceable(original: VersionState, rebuilt: VersionState) -> None:
    """Raise `RegistryError` unless one version can have the place of another one: that of a promoted version of its as-of."""
    if not original.in_line:
        decision = original.decision
        state = f"rebuilt as {original.rebuilt_as}" if original.rebuilt_as else decision and decision.outcome
        raise RegistryError(
            "Only a promoted version can be rebuilt.",
            expected="a version that was promoted, and is neither withdrawn nor rebuilt",
            found="withdrawn" if original.withdrawn is not None else state or "not decided on",
            where=original.version,
            remedy="retrain the model, or name the version that stands for it now",
        )
    if rebuilt.version == original.version or rebuilt.as_of != original.as_of:
        raise RegistryError(
            "A version is rebuilt as another one of the same as-of.",
            expected=to_iso(original.as_of),
            found=to_iso(rebuilt.as_of),
            where=rebuilt.version,
        )
    if rebuilt.withdrawn is not None or rebuilt.in_line:
        raise RegistryError(
            "The rebuilt version is on record already, by its own run.",
            expected="a version that is neither promoted nor withdrawn",
            found="withdrawn" if rebuilt.withdrawn is not None else "promoted",
            where=rebuilt.version,
            remedy="nothing to do if it is promoted; if it is withdrawn, retrain the model at another as-of",
        )

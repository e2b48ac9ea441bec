"""The ledger of one model: the only thing that ever changes state.

Every operation reads the events, decides, and writes the next one; if somebody else wrote first, it decides again on what
it then reads. Nothing here remembers anything between two calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from include.config.model import ModelConfig
from include.config.names import SIMPLE_BASELINE
from include.config.sections.evaluation import Gate
from include.errors import RatchetError, RegistryError, StoreUnavailable
from include.evaluation.evidence import Evidence
from include.evaluation.measure import load_evidence
from include.registry.approval import ApprovalReply, conclude, trigger_of
from include.registry.champion_changes import champion_changes
from include.registry.gate.judgement import Judgement, judge, policy_digest
from include.registry.statements import VersionStatement, check_version, sign_version
from include.registry.timeline import (
    ALIASED,
    TAGGED,
    Decision,
    Outcome,
    Timeline,
    Trigger,
    VersionState,
    fold,
    require_held,
    require_replaceable,
)
from include.registry.version_names import alias_event, tag_event
from include.registry.versions import Version, load_version
from include.signing.deployment import heads_of_deployment
from include.signing.heads import SignedHeads
from include.storage.content import canonical_json, digest_json, from_iso, get_content, put_content, to_iso
from include.storage.log import Decide, Entry, Log
from include.storage.log import recorded_by as entries_recorded_by
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

_UNSIGNED = (ALIASED, TAGGED, "withdrawn")
"""Kinds of event of which the statement of a version says nothing; the head of the ledger is signed with each event."""


class Measure(Protocol):
    """Measures a version against its incumbent: the evidence and its digest. Repeated, it finds what it measured before."""

    def __call__(
        self, model: ModelConfig, version: Version, incumbent: Version | None, *, again: str | None = None
    ) -> tuple[Evidence, str]:
        """Return evidence and digest; ``again`` is the digest of what a decision on record was made on that is made again."""


@dataclass(frozen=True)
class Comparison:
    """A challenger measured against its incumbent."""

    challenger: Version
    incumbent: Version | None
    evidence: Evidence
    digest: str
    left: float = 0.0
    """With `gate.lifetime`: how many wrong promotions are left to risk."""

    def judge(self, policy: Gate) -> Judgement:
        """Apply a policy to the evidence."""
        is_simple = self.challenger.estimator == SIMPLE_BASELINE[self.evidence.task]
        return judge(policy, self.evidence, challenger_is_simple=is_simple, left=self.left)


class Ledger:
    """The events of one model.

    Parameters
    ----------
    store : ObjectStore
    model : str
        The model's name.
    written : callable, optional
        Told each event that this object writes, once, when it is written; not those that it finds.
    """

    def __init__(self, store: ObjectStore, model: str, *, written: Callable[[Entry], None] | None = None) -> None:
        self.store = store
        self.model = model
        self._written = written
        self.heads = heads_of_deployment(store, model)
        """What signs and checks its events, where the deployment trusts keys."""
        self._log = Log(store, f"{model}/ledger/", heads=self.heads)

    def entries(self, *, fresh: bool = True) -> tuple[Entry, ...]:
        """Return the events, their chain verified.

        Parameters
        ----------
        fresh : bool
            Look for newer ones. Otherwise they are those that this object last read or wrote, without a call of the store.
        """
        return self._log.read() if fresh or not self._log.known else self._log.known

    def has_news(self) -> bool:
        """Tell in one call of the store, whatever the history, whether there are events beyond those read by this instance."""
        return self._log.has_more()

    def timeline(self, *, recorded_by: datetime | None = None, fresh: bool = True) -> Timeline:
        """Return what the events mean.

        Parameters
        ----------
        recorded_by : datetime, optional
            Only what was on record then, by `include.storage.log.recorded_by`. Its ``champion`` is the version that was in force in fact at that instant, whereas
            ``champion_as_of`` of the whole timeline is the one that stands for that instant by all that is known now.
        fresh : bool
            As for `entries`.
        """
        entries = self.entries(fresh=fresh)
        return fold(entries if recorded_by is None else entries_recorded_by(entries, recorded_by))

    def in_fact(self) -> list[tuple[datetime, str | None]]:
        """Return who was in force in fact from when: the recorded instants at which the champion changed, with the new one."""
        return [(from_iso(change.entry.at), change.version) for change in champion_changes(self.entries())]

    def verify(self) -> int:
        """Read every event from the store again and return how many there are; raises `ChainBroken`."""
        return len(self._log.verify())

    def register(self, version: Version, *, actor: dict[str, Any], at: datetime) -> VersionState:
        """Put on record that a version exists; the first registration stands."""

        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            if version.id in fold(entries):
                return None
            body = {
                "version": version.id,
                "as_of": to_iso(version.as_of),
                "model_file": version.model_file,
                "record": version.digest,
                "actor": actor,
            }
            return "registered", body

        self._append(unless_known, at=to_iso(at))
        return self.timeline(fresh=False)[version.id]

    def stands(self, model: ModelConfig, version: str) -> Decision | None:
        """Return the decision on a version if it was made by a configuration of this identity, and so by its policy; None otherwise."""
        timeline = self.timeline()
        decision = timeline[version].decision if version in timeline else None
        return decision if decision is not None and self._made_by(decision, model) else None

    def decide(
        self,
        model: ModelConfig,
        version: str,
        *,
        measure: Measure,
        actor: dict[str, Any],
        at: datetime,
        reply: ApprovalReply | None = None,
    ) -> Decision:
        """Measure a version against its incumbent, apply the policy, and put the decision on record.

        What a scheduled or manual run or a person decided is a fact of history and returned as it stands. A backfilled
        decision is made again when its incumbent or what affects the result of the configuration is no longer what it was,
        or when nothing could be measured then.

        Parameters
        ----------
        reply : ApprovalReply, optional
            What came of asking a person; it counts for the question that they were asked, and for no other.
        """
        config = put_content(self.store, f"{self.model}/configs", ".json", canonical_json(model.to_json()))

        def unless_decided(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            timeline = fold(entries)
            standing, incumbent = timeline[version], timeline.incumbent_of(version)
            if (known := standing.decision) is not None and (
                not standing.may_change
                or (
                    timeline.original_of(known.incumbent) == timeline.original_of(incumbent)
                    and known.evidence is not None
                    and self._made_by(known, model)
                )
            ):
                return None
            decision = self._decide(
                model, timeline, version, incumbent, config, measure, actor, trigger=trigger_of(standing), reply=reply
            )
            return "decided", decision.to_json()

        self._append(unless_decided, at=to_iso(at))
        decision = self.timeline(fresh=False)[version].decision
        assert decision is not None  # noqa: S101 (just read or written)
        return decision

    def settle(self, *, measure: Measure, actor: dict[str, Any], at: datetime) -> list[Decision]:
        """Decide again every backfilled decision whose incumbent changed, in order, until nothing changes.

        Each is judged by the configuration and policy that it was decided by. One that can't be measured, since a record,
        its rows or its code are damaged or missing, is incomparable; a withdrawn one is left alone. Only a store that does
        not answer is an error.
        """
        again: list[Decision] = []

        def first_changed(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            timeline = fold(entries)
            version = timeline.first_to_decide_again()
            if version is None:
                return None
            standing, incumbent = timeline[version], timeline.incumbent_of(version)
            before = standing.decision
            assert before is not None  # noqa: S101 (only decided versions are named)
            log.info("%s was decided against %s, but %s is now before it", version, before.incumbent, incumbent)
            try:
                model, again = self.config(before.config), partial(measure, again=before.evidence)
                decision = self._decide(
                    model, timeline, version, incumbent, before.config, again, actor, trigger=standing.trigger
                )
            except StoreUnavailable:
                raise
            except RatchetError as error:
                log.error("%s can't be measured: %s", version, error)
                decision = _unmeasured(replace(before, version=version), incumbent, error, actor)
            return "decided", replace(decision, again=True).to_json()

        while (entry := self._append(first_changed, at=to_iso(at))) is not None:
            again.append(Decision.from_json(entry.body))
        return again

    def reconsider(
        self,
        model: ModelConfig,
        version: str,
        *,
        as_of: datetime,
        measure: Measure,
        actor: dict[str, Any],
        at: datetime,
        reply: ApprovalReply | None = None,
    ) -> Decision:
        """Decide again on a held version by rows that have matured since, without training.

        Promoted, it is in force from ``as_of`` on, not from its own: nobody could have known earlier. The incumbent is the
        champion before ``as_of``.

        Raises
        ------
        RegistryError
            When the version is not held, or ``as_of`` is not later than the rows that it was held on.
        """
        config = put_content(self.store, f"{self.model}/configs", ".json", canonical_json(model.to_json()))

        def unless_reconsidered(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            timeline = fold(entries)
            standing = timeline[version]
            if standing.decision is not None and standing.decision.as_of == to_iso(as_of):
                return None
            require_held(standing, as_of)
            incumbent = timeline.incumbent_of(version, since=as_of)
            decision = self._decide(
                model,
                timeline,
                version,
                incumbent,
                config,
                measure,
                actor,
                trigger=Trigger.MANUAL,
                reply=reply,
                since=as_of,
            )
            return "decided", replace(decision, as_of=to_iso(as_of)).to_json()

        self._append(unless_reconsidered, at=to_iso(at))
        decision = self.timeline(fresh=False)[version].decision
        assert decision is not None  # noqa: S101 (just read or written)
        return decision

    def rebuild(self, original: str, rebuilt: Version, *, proof: str, actor: dict[str, Any], at: datetime) -> Timeline:
        """Put a version that was trained again under other libraries in force as the equal of the one that it rebuilds.

        It gets the place of the original in the timeline: its as-of, its trigger and its decision. What was decided against
        the original stands. Both are withdrawn together. Repeated, nothing more is put on record.

        Parameters
        ----------
        original : str
            The id of a promoted version that is not withdrawn.
        rebuilt : Version
            Trained again from the same record.
        proof : str
            Digest of the report that says how far their predictions differ.

        Raises
        ------
        RegistryError
            When the original has no place to give, or the other one is no version of the same rows, or stands already.
        """
        self.register(rebuilt, actor=actor, at=at)

        def unless_rebuilt(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            timeline = fold(entries)
            if timeline[original].rebuilt_as == rebuilt.id:
                return None
            require_replaceable(timeline[original], timeline[rebuilt.id])
            decision = timeline[original].decision
            assert decision is not None  # noqa: S101 (it is promoted)
            body = {
                "version": rebuilt.id,
                "rebuild_of": original,
                "proof": proof,
                "evidence": decision.evidence,
                "config": decision.config,
                "actor": actor,
            }
            return "rebuilt", body

        self._append(unless_rebuilt, at=to_iso(at))
        return self.timeline(fresh=False)

    def withdraw(
        self, version: str, reason: str, *, actor: dict[str, Any], at: datetime, evidence: str | None = None
    ) -> Timeline:
        """Take a version out of force for good, with all that rebuild it; the champion before it is back in force.

        Parameters
        ----------
        evidence : str, optional
            The digest of what it is withdrawn for, where that was measured.

        Raises
        ------
        RegistryError
            When no reason is given or the version is unknown.
        """
        if not reason.strip():
            raise RegistryError("A withdrawal needs a reason.", expected="a sentence", found=repr(reason))

        def unless_withdrawn(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            if fold(entries)[version].withdrawn is not None:
                return None
            body = {"version": version, "reason": reason.strip(), "actor": actor}
            return "withdrawn", body if evidence is None else {**body, "evidence": evidence}

        self._append(unless_withdrawn, at=to_iso(at))
        return self.timeline(fresh=False)

    def alias(self, alias: str, version: str | None, reason: str, *, actor: dict[str, Any], at: datetime) -> Timeline:
        """Let an alias point at a version, or at none any more; see `include.registry.version_names.alias_event`."""
        self._append(lambda entries: alias_event(fold(entries), alias, version, reason, actor), at=to_iso(at))
        return self.timeline(fresh=False)

    def tag(
        self, version: str, key: str, value: str | None, reason: str, *, actor: dict[str, Any], at: datetime
    ) -> Timeline:
        """Give a version a tag, or take it away with the value None; see `include.registry.version_names.tag_event`."""
        self._append(lambda entries: tag_event(fold(entries), version, key, value, reason, actor), at=to_iso(at))
        return self.timeline(fresh=False)

    def measure(
        self, model: ModelConfig, version: str, measure: Measure, *, since: datetime | None = None
    ) -> Comparison:
        """Measure a version against the incumbent that it has now, without putting anything on record.

        A version that is not registered, in a dry run, is measured as if it were registered next.

        Parameters
        ----------
        since : datetime, optional
            The instant from which it would be in force, if that is not its own as-of.
        """
        timeline = self.timeline()
        challenger = self._version(timeline, version)
        if version in timeline:
            incumbent = timeline.incumbent_of(version, since=since)
        else:
            incumbent = timeline.champion_as_of(challenger.as_of)
        return self._measure(model, timeline, challenger, incumbent, measure, since=since)

    def compare(self, decision: Decision) -> Comparison | None:
        """Return what a decision on record was made on; None where nothing could be measured."""
        if decision.evidence is None:
            return None
        left = decision.lifetime["left"] if decision.lifetime else 0.0
        return self.comparison(decision.version, decision.incumbent, decision.evidence, left=left)

    def comparison(self, version: str, incumbent: str | None, evidence: str, *, left: float = 0.0) -> Comparison:
        """Return what was measured of a version, by the evidence's digest.

        Parameters
        ----------
        left : float
            With `gate.lifetime`: how many wrong promotions are left to risk.
        """
        timeline = self.timeline()
        opponent = self._version(timeline, incumbent) if incumbent else None
        found = load_evidence(self.store, self.model, evidence)
        return Comparison(self._version(timeline, version), opponent, found, evidence, left)

    def left_for(self, model: ModelConfig, version: str, *, since: datetime | None = None) -> float:
        """Return how many wrong promotions are left to risk for a decision on a version; zero without `gate.lifetime`.

        Parameters
        ----------
        since : datetime, optional
            The instant from which it would be in force, if that is not its own as-of.
        """
        return _left(model, self.timeline(), version, since)

    def version(self, version: str) -> Version:
        """Return the record of a version as the ledger names it; of one that is not registered, in a dry run, as its id does.

        Raises
        ------
        RegistryError, ObjectCorrupt
            When there is none, or it is another one.
        """
        return self._version(self.timeline(), version)

    def _version(self, timeline: Timeline, version: str) -> Version:
        if version not in timeline:
            return load_version(self.store, self.model, version)
        named = timeline[version]
        record = load_version(self.store, self.model, version, digest=named.record, model_file=named.model_file)
        self._statement(named, record)
        return record

    def _made_by(self, decision: Decision, model: ModelConfig) -> bool:
        """Tell whether a decision was made by what this configuration says, as far as that affects it."""
        same = decision.config == digest_json(model.to_json())
        return same or self.config(decision.config).identity == model.identity

    def _append(self, decide: Decide, *, at: str) -> Entry | None:
        entry = self._log.append(decide if self.heads is None else self._signing(decide, self.heads, at), at=at)
        if entry is not None and self._written is not None:
            self._written(entry)
        return entry

    def _signing(self, decide: Decide, heads: SignedHeads, at: str) -> Decide:
        """Return what signs the version, as the event will have it, before the event is written."""

        def signed(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            if (decided := decide(entries)) is not None and decided[0] not in _UNSIGNED:
                body = decided[1]
                record = body.get("record") or fold(entries)[body["version"]].record
                version = load_version(self.store, self.model, body["version"], digest=record)
                facts = {"evidence": body["evidence"], "config": body["config"]} if body.get("evidence") else {}
                sign_version(self.store, version, heads.key(at), heads.trusted, at=at, **facts)
            return decided

        return signed

    def sign_versions(self, *, at: datetime) -> int:
        """Sign what stands of every version, where the deployment signs, and return how many there are."""
        standings = self.timeline().standings if self.heads is not None else ()
        for standing in standings:
            assert self.heads is not None  # noqa: S101 (there are none otherwise)
            version = load_version(
                self.store, self.model, standing.version, digest=standing.record, model_file=standing.model_file
            )
            key, instant = self.heads.key(to_iso(at)), to_iso(at)
            sign_version(self.store, version, key, self.heads.trusted, at=instant)
            if (decision := standing.decision) is not None and decision.evidence is not None:
                facts = {"evidence": decision.evidence, "config": decision.config}
                sign_version(self.store, version, key, self.heads.trusted, at=instant, **facts)
        return len(standings)

    def statement(self, version: str) -> VersionStatement | None:
        """Return what is signed about a registered version, as it stands; None where the deployment trusts no keys.

        Raises
        ------
        SignatureRefused
            When it is not signed, or by nobody who is trusted.
        """
        timeline = self.timeline()
        if self.heads is None or version not in timeline:
            return None
        standing = timeline[version]
        record = load_version(self.store, self.model, version, digest=standing.record, model_file=standing.model_file)
        return self._statement(standing, record)

    def _statement(self, standing: VersionState, version: Version) -> VersionStatement | None:
        if self.heads is None:
            return None
        evidence = None if standing.decision is None else standing.decision.evidence
        return check_version(self.store, version, self.heads.trusted, evidence=evidence)

    def _measure(
        self,
        model: ModelConfig,
        timeline: Timeline,
        challenger: Version,
        incumbent: str | None,
        measure: Measure,
        *,
        since: datetime | None,
    ) -> Comparison:
        opponent = self._version(timeline, incumbent) if incumbent else None
        left = _left(model, timeline, challenger.id, since or challenger.as_of)
        return Comparison(challenger, opponent, *measure(model, challenger, opponent), left)

    def _decide(
        self,
        model: ModelConfig,
        timeline: Timeline,
        version: str,
        incumbent: str | None,
        config: str,
        measure: Measure,
        actor: dict[str, Any],
        *,
        trigger: Trigger,
        reply: ApprovalReply | None = None,
        since: datetime | None = None,
    ) -> Decision:
        challenger = self._version(timeline, version)
        comparison = self._measure(model, timeline, challenger, incumbent, measure, since=since)
        judgement = comparison.judge(model.gate)
        outcome, reason, approval = conclude(
            judgement, model.gate, trigger=trigger, reply=reply, evidence=comparison.digest, incumbent=incumbent
        )
        return Decision(
            version=version,
            outcome=outcome,
            reason=reason,
            incumbent=incumbent,
            evidence=comparison.digest,
            policy=policy_digest(model.gate),
            config=config,
            primary=judgement.primary,
            actor=actor,
            lifetime=judgement.lifetime,
            approval=approval,
        )

    def config(self, digest: str) -> ModelConfig:
        """Return the configuration that a decision names."""
        return ModelConfig.from_stored(get_content(self.store, f"{self.model}/configs", ".json", digest))


def _left(model: ModelConfig, timeline: Timeline, version: str, since: datetime | None) -> float:
    lifetime = model.gate.lifetime
    return 0.0 if lifetime is None else timeline.left_for(version, lifetime.wrong_promotions.a_year, since=since)


def _unmeasured(before: Decision, incumbent: str | None, error: RatchetError, actor: dict[str, Any]) -> Decision:
    """Return the decision on a version that can't be measured: by nothing but the reason why."""
    reason = f"it can't be measured against {incumbent or 'the baselines'}: {error.message.rstrip('.')}."
    if error.remedy:
        reason += f" {error.remedy[:1].upper()}{error.remedy[1:].rstrip('.')}; then backfill its date again."
    return Decision(
        version=before.version,
        outcome=Outcome.INCOMPARABLE,
        reason=reason,
        incumbent=incumbent,
        evidence=None,
        policy=before.policy,
        config=before.config,
        primary={name: value if name == "metric" else None for name, value in before.primary.items()},
        actor=actor,
    )

"""The ledger of one model: the only thing that ever changes state.

Every operation reads the events, decides, and writes the next one; if somebody else wrote first, it decides again on what
it then reads. Nothing here remembers anything between two calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from include.config.judging import Gate
from include.config.model import ModelConfig
from include.config.names import SIMPLE_BASELINE
from include.errors import RegistryError
from include.evaluation.evidence import Evidence
from include.evaluation.measure import load_evidence
from include.registry.approval import Reply, conclude, trigger_of
from include.registry.gate import Judgement, judge, policy_digest
from include.registry.timeline import Decision, Standing, Timeline, Trigger, apply, fold, require_held
from include.registry.versions import Version, load_version
from include.storage.content import canonical_json, digest_json, from_iso, get_content, put_content, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

Measure = Callable[[ModelConfig, Version, Version | None], tuple[Evidence, str]]
"""Measures a version against its incumbent: the evidence and its digest. Repeated, it finds what it measured before."""


@dataclass(frozen=True)
class Comparison:
    """A challenger measured against its incumbent."""

    challenger: Version
    incumbent: Version | None
    evidence: Evidence
    digest: str

    def judge(self, policy: Gate) -> Judgement:
        """Apply a policy to the evidence."""
        is_simple = self.challenger.estimator == SIMPLE_BASELINE[self.evidence.task]
        return judge(policy, self.evidence, challenger_is_simple=is_simple)


class Ledger:
    """The events of one model.

    Parameters
    ----------
    store : ObjectStore
    model : str
        The model's name.
    """

    def __init__(self, store: ObjectStore, model: str) -> None:
        self.store = store
        self.model = model
        self._log = Log(store, f"{model}/ledger/")

    def entries(self) -> tuple[Entry, ...]:
        """Return the events, their chain verified."""
        return self._log.read()

    def has_news(self) -> bool:
        """Tell in one call of the store, whatever the history, whether there are events beyond those read by this instance."""
        return self._log.has_more()

    def timeline(self, *, recorded_by: datetime | None = None) -> Timeline:
        """Return what the events mean.

        Parameters
        ----------
        recorded_by : datetime, optional
            Only what was on record then. Its ``champion`` is the version that was in force in fact at that instant, whereas
            ``champion_as_of`` of the whole timeline is the one that stands for that instant by all that is known now.
        """
        entries = self.entries()
        if recorded_by is not None:
            known = [number for number, entry in enumerate(entries, 1) if from_iso(entry.at) <= recorded_by]
            entries = entries[: known[-1] if known else 0]
        return fold(entries)

    def in_fact(self) -> list[tuple[datetime, str | None]]:
        """Return who was in force in fact from when: the recorded instants at which the champion changed, with the new one."""
        changes: list[tuple[datetime, str | None]] = []
        standings: dict[str, Standing] = {}
        champion: Standing | None = None
        for entry in self.entries():
            apply(entry, standings)
            changed = standings[entry.body["version"]]
            if (
                champion is not None and changed.version == champion.version
            ):  # only its own fall makes all others stand again
                in_line = (standing for standing in standings.values() if standing.in_line)
                champion = max(in_line, key=lambda standing: standing.order, default=None)
            elif changed.in_line and (champion is None or changed.order > champion.order):
                champion = changed
            name = None if champion is None else champion.version
            if name != (changes[-1][1] if changes else None):
                changes.append((from_iso(entry.at), name))
        return changes

    def verify(self) -> int:
        """Read every event from the store again and return how many there are; raises `ChainBroken`."""
        return len(self._log.verify())

    def register(self, version: Version, *, actor: dict[str, Any], at: datetime) -> Standing:
        """Put on record that a version exists; the first registration stands."""

        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            if version.id in fold(entries):
                return None
            body = {
                "version": version.id,
                "as_of": to_iso(version.as_of),
                "model_file": version.model_file,
                "actor": actor,
            }
            return "registered", body

        self._log.append(unless_known, at=to_iso(at))
        return self.timeline()[version.id]

    def stands(self, model: ModelConfig, version: str) -> Decision | None:
        """Return the decision on a version if it was made by this configuration, and so by its policy; None otherwise."""
        timeline = self.timeline()
        decision = timeline[version].decision if version in timeline else None
        config = digest_json(model.to_json())
        return decision if decision is not None and decision.config == config else None

    def decide(
        self,
        model: ModelConfig,
        version: str,
        *,
        measure: Measure,
        actor: dict[str, Any],
        at: datetime,
        reply: Reply | None = None,
    ) -> Decision:
        """Measure a version against its incumbent, apply the policy, and put the decision on record.

        What a scheduled or manual run or a person decided is a fact of history and returned as it stands. A backfilled
        decision is made again when its incumbent, the policy or the configuration is no longer the one that it names.

        Parameters
        ----------
        reply : Reply, optional
            What came of asking a person; it counts for the question that they were asked, and for no other.
        """
        config = put_content(self.store, f"{self.model}/configs", ".json", canonical_json(model.to_json()))

        def unless_decided(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            timeline = fold(entries)
            standing, incumbent = timeline[version], timeline.incumbent_of(version)
            if (known := standing.decision) is not None:
                same = (known.incumbent, known.policy, known.config) == (incumbent, policy_digest(model.gate), config)
                if same or not standing.may_change:
                    return None
            decision = self._decide(
                model, version, incumbent, config, measure, actor, trigger=trigger_of(standing), reply=reply
            )
            return "decided", decision.to_json()

        self._log.append(unless_decided, at=to_iso(at))
        decision = self.timeline()[version].decision
        assert decision is not None  # noqa: S101 (just read or written)
        return decision

    def settle(self, *, measure: Measure, actor: dict[str, Any], at: datetime) -> list[Decision]:
        """Decide again every backfilled decision whose incumbent changed, in order, until nothing changes.

        Each is judged by the configuration and policy that it was decided by.
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
            decision = self._decide(
                self.config(before.config), version, incumbent, before.config, measure, actor, trigger=standing.trigger
            )
            return "decided", replace(decision, again=True).to_json()

        while (entry := self._log.append(first_changed, at=to_iso(at))) is not None:
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
        reply: Reply | None = None,
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
                model, version, incumbent, config, measure, actor, trigger=Trigger.MANUAL, reply=reply
            )
            return "decided", replace(decision, as_of=to_iso(as_of)).to_json()

        self._log.append(unless_reconsidered, at=to_iso(at))
        decision = self.timeline()[version].decision
        assert decision is not None  # noqa: S101 (just read or written)
        return decision

    def withdraw(self, version: str, reason: str, *, actor: dict[str, Any], at: datetime) -> Timeline:
        """Take a version out of force for good; the champion before it is back in force.

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
            return "withdrawn", {"version": version, "reason": reason.strip(), "actor": actor}

        self._log.append(unless_withdrawn, at=to_iso(at))
        return self.timeline()

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
        challenger = load_version(self.store, self.model, version)
        if version in timeline:
            incumbent = timeline.incumbent_of(version, since=since)
        else:
            incumbent = timeline.champion_as_of(challenger.as_of)
        return self._measure(model, challenger, incumbent, measure)

    def compare(self, decision: Decision) -> Comparison:
        """Return what a decision on record was made on."""
        return self.comparison(decision.version, decision.incumbent, decision.evidence)

    def comparison(self, version: str, incumbent: str | None, evidence: str) -> Comparison:
        """Return what was measured of a version, by the evidence's digest."""
        challenger = load_version(self.store, self.model, version)
        opponent = load_version(self.store, self.model, incumbent) if incumbent else None
        return Comparison(challenger, opponent, load_evidence(self.store, self.model, evidence), evidence)

    def _measure(self, model: ModelConfig, challenger: Version, incumbent: str | None, measure: Measure) -> Comparison:
        opponent = load_version(self.store, self.model, incumbent) if incumbent else None
        return Comparison(challenger, opponent, *measure(model, challenger, opponent))

    def _decide(
        self,
        model: ModelConfig,
        version: str,
        incumbent: str | None,
        config: str,
        measure: Measure,
        actor: dict[str, Any],
        *,
        trigger: Trigger,
        reply: Reply | None = None,
    ) -> Decision:
        comparison = self._measure(model, load_version(self.store, self.model, version), incumbent, measure)
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
            approval=approval,
        )

    def config(self, digest: str) -> ModelConfig:
        """Return the configuration that a decision names."""
        return ModelConfig.model_validate_json(get_content(self.store, f"{self.model}/configs", ".json", digest))

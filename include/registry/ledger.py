"""The ledger of one model: the only object that changes its state.

Every operation reads the events, decides, and writes the next event. If another process wrote that event first, the operation reads
the events again and decides again. No state is kept between two calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any

from include.config.model import ModelConfig
from include.errors import RatchetError, RegistryError, StoreUnavailable
from include.registry.approval import ApprovalReply, trigger_of
from include.registry.decisions import Measure, decision_on, unmeasured
from include.registry.ledger_reader import LedgerReader
from include.registry.naming.aliases import alias_event
from include.registry.naming.tags import tag_event
from include.registry.segment_changes import announced_first
from include.registry.statements import sign_standing, signed_first
from include.registry.timeline import Timeline, fold
from include.registry.version_states import Decision, Origin, Trigger, VersionState, require_held, require_replaceable
from include.registry.versions import Version, read_versions_ahead
from include.storage.content import canonical_json, put_content, to_iso
from include.storage.log import Decide, Entry
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


class Ledger(LedgerReader):
    """The events of one model, to be read and written.

    Parameters
    ----------
    store : ObjectStore
    model : str
        The model's name.
    written : callable, optional
        Called with each event that this object writes, once; not with events that exist already.
    """

    def __init__(self, store: ObjectStore, model: str, *, written: Callable[[Entry], None] | None = None) -> None:
        super().__init__(store, model)
        self._written = written

    def register(
        self, version: Version, *, actor: dict[str, Any], at: datetime, origin: Origin | None = None
    ) -> VersionState:
        """Register a version; only the first registration is recorded.

        Parameters
        ----------
        origin : Origin, optional
            The decision of another stage that it came from.
        """

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
            return "registered", body if origin is None else {**body, "origin": asdict(origin)}

        self._append(unless_known, at=to_iso(at))
        return self.timeline(fresh=False)[version.id]

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
        """Measure a version against its incumbent, apply the policy, and record the decision.

        A decision of a scheduled or manual run or of a person is final and returned unchanged. A backfilled decision is made
        again when its incumbent or the identity of the configuration has changed, or when nothing could be measured then.

        Parameters
        ----------
        reply : ApprovalReply, optional
            The answer of a person; it counts only for the question that they were asked.
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
                decision = unmeasured(replace(before, version=version), incumbent, error, actor)
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
        """Decide again on a held version, or on one of another stage, by rows that have matured since, without training.

        If it is promoted, it is in force from ``as_of`` on, not from its own as-of, since the evidence did not exist earlier. The incumbent is the
        champion before ``as_of``.

        Parameters
        ----------
        model, version, measure, actor, at, reply
            As of `decide`.
        as_of : datetime
            Rows count whose labels have matured by then.

        Raises
        ------
        RegistryError
            When the version neither is held nor waits for a first decision here, or ``as_of`` is not later than the rows that it was held on.
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
        """Put a version that was trained again with other libraries in force as the equal of its original.

        It replaces the original in the timeline, with the same as-of, trigger and decision. Decisions against the original
        are kept. Both are withdrawn together. A repeated call records nothing.

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
        timeline = self.timeline()
        if timeline[original].rebuilt_as != rebuilt.id:  # before it is registered, for nothing takes that back
            known = (
                timeline[rebuilt.id]
                if rebuilt.id in timeline
                else VersionState(rebuilt.id, rebuilt.as_of, -1, Trigger.MANUAL)
            )
            require_replaceable(timeline[original], known)
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
        """Withdraw a version permanently, with all versions that rebuild it; the champion before it is in force again.

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
        """Point an alias at a version, or remove it.

        Parameters
        ----------
        alias, version, reason, actor
            As of `include.registry.naming.aliases.alias_event`, which says what is refused.
        at : datetime
            The instant that goes on record.
        """
        self._append(lambda entries: alias_event(fold(entries), alias, version, reason, actor), at=to_iso(at))
        return self.timeline(fresh=False)

    def tag(
        self, version: str, key: str, value: str | None, reason: str, *, actor: dict[str, Any], at: datetime
    ) -> Timeline:
        """Set a tag of a version, or remove it with the value None.

        Parameters
        ----------
        version, key, value, reason, actor
            As of `include.registry.naming.tags.tag_event`, which says what is refused.
        at : datetime
            The instant that goes on record.
        """
        self._append(lambda entries: tag_event(fold(entries), version, key, value, reason, actor), at=to_iso(at))
        return self.timeline(fresh=False)

    def sign_versions(self, *, at: datetime) -> int:
        """Sign the current state of every version, where the deployment signs, and return the number of versions."""
        if self.heads is None:
            return 0
        return sign_standing(self.store, self.model, self.timeline(), self.heads, at=to_iso(at))

    def _append(self, decide: Decide, *, at: str) -> Entry | None:
        if self.heads is not None:
            decide = signed_first(decide, self.store, self.model, self.heads, at=at)
        entry = self._log.append(announced_first(decide, self.store, self.model, at=at), at=at)
        if entry is not None and self._written is not None:
            self._written(entry)
        return entry

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
        read_versions_ahead(self.store, self.model, version, incumbent)
        challenger = self._version(timeline, version)
        comparison = self._measure(model, timeline, challenger, incumbent, measure, since=since)
        return decision_on(comparison, model.gate, config=config, actor=actor, trigger=trigger, reply=reply)

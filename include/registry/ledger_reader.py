"""Read the ledger of one model: its events, its timeline, and the records that it names.

Nothing here writes to the ledger; `include.registry.ledger.Ledger` does.
"""

from __future__ import annotations

from datetime import datetime

from include.config.model import ModelConfig
from include.evaluation.evidence import load_evidence
from include.registry.decisions import Comparison, Measure
from include.registry.history.champion_changes import champion_changes
from include.registry.statements import VersionStatement, check_version
from include.registry.timeline import Timeline, fold
from include.registry.version_states import Decision, VersionState
from include.registry.versions import Version, load_version, read_fits_ahead, read_versions_ahead
from include.signing.deployment import heads_of_deployment
from include.storage.content import digest_json, from_iso, get_content
from include.storage.log import Entry, Log
from include.storage.log import recorded_by as entries_recorded_by
from include.storage.store import ObjectStore


class LedgerReader:
    """The events of one model, to be read.

    Parameters
    ----------
    store : ObjectStore
    model : str
        The model's name.

    Attributes
    ----------
    heads : SignedHeads or None
        What signs and checks its events, where the deployment trusts keys.
    """

    def __init__(self, store: ObjectStore, model: str) -> None:
        self.store = store
        self.model = model
        self.heads = heads_of_deployment(store, model)
        self._log = Log(store, f"{model}/ledger/", heads=self.heads)
        self._folded: tuple[str | None, Timeline] = (None, Timeline())

    def entries(self, *, fresh: bool = True) -> tuple[Entry, ...]:
        """Return the events, their chain verified.

        Parameters
        ----------
        fresh : bool
            Look for newer ones. Otherwise they are those that this object last read or wrote, without a call of the store.
        """
        return self._log.read() if fresh or not self._log.known else self._log.known

    def has_news(self) -> bool:
        """Tell in one call of the store, for a history of any length, whether there are events beyond those read by this instance."""
        return self._log.has_more()

    def timeline(self, *, recorded_by: datetime | None = None, fresh: bool = True) -> Timeline:
        """Return what the events mean.

        Parameters
        ----------
        recorded_by : datetime, optional
            Only what was on record then, by `include.storage.log.recorded_by`. Its ``champion`` is the version that was in force in fact at that instant, whereas
            ``champion_as_of`` of the whole timeline is the champion for that instant by all that is known now.
        fresh : bool
            As for `entries`.
        """
        entries = self.entries(fresh=fresh)
        if recorded_by is not None:
            return fold(entries_recorded_by(entries, recorded_by))
        # Folded once: who goes through all versions asks for each of them. The newest event's digest stands for all before it.
        newest = entries[-1].digest if entries else None
        if self._folded[0] != newest:
            self._folded = newest, fold(entries)
        return self._folded[1]

    def in_fact(self) -> list[tuple[datetime, str | None]]:
        """Return who was in force in fact from when: the recorded instants at which the champion changed, with the new one."""
        return [(from_iso(change.entry.at), change.version) for change in champion_changes(self.entries())]

    def verify(self) -> int:
        """Read every event from the store again and return how many there are; raises `ChainBroken`."""
        return len(self._log.verify())

    def config(self, digest: str) -> ModelConfig:
        """Return the configuration that a decision names."""
        return ModelConfig.from_stored(get_content(self.store, f"{self.model}/configs", ".json", digest))

    def version(self, version: str) -> Version:
        """Return the record of a version as the ledger names it; of one that is not registered, in a dry run, as its id does.

        Raises
        ------
        RegistryError, ObjectCorrupt
            When there is none, or it is another one.
        """
        return self._version(self.timeline(), version)

    def statement(self, version: str) -> VersionStatement | None:
        """Return the signed statement about a registered version in its present state; None where the deployment trusts no keys.

        Raises
        ------
        SignatureRefused
            When it is not signed, or its signer is not trusted.
        """
        timeline = self.timeline()
        if self.heads is None or version not in timeline:
            return None
        standing = timeline[version]
        record = load_version(self.store, self.model, version, digest=standing.record, model_file=standing.model_file)
        return self._statement(standing, record)

    def stands(self, model: ModelConfig, version: str) -> Decision | None:
        """Return the decision on a version if it was made by a configuration of this identity, and so by its policy; None otherwise."""
        timeline = self.timeline()
        decision = timeline[version].decision if version in timeline else None
        return decision if decision is not None and self._made_by(decision, model) else None

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
        incumbent = timeline.incumbent_of(version, since=since) if version in timeline else None
        read_versions_ahead(self.store, self.model, version, incumbent)
        challenger = self._version(timeline, version)
        if version not in timeline:
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

    def _version(self, timeline: Timeline, version: str) -> Version:
        if version not in timeline:
            return load_version(self.store, self.model, version)
        named = timeline[version]
        record = load_version(self.store, self.model, version, digest=named.record, model_file=named.model_file)
        self._statement(named, record)
        return record

    def _statement(self, standing: VersionState, version: Version) -> VersionStatement | None:
        if self.heads is None:
            return None
        evidence = None if standing.decision is None else standing.decision.evidence
        return check_version(self.store, version, self.heads.trusted, evidence=evidence)

    def _made_by(self, decision: Decision, model: ModelConfig) -> bool:
        """Tell whether a decision was made under a configuration of the same identity."""
        same = decision.config == digest_json(model.to_json())
        return same or self.config(decision.config).identity == model.identity

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
        read_fits_ahead(self.store, challenger, opponent)
        left = _left(model, timeline, challenger.id, since or challenger.as_of)
        return Comparison(challenger, opponent, *measure(model, challenger, opponent), left)


def _left(model: ModelConfig, timeline: Timeline, version: str, since: datetime | None) -> float:
    lifetime = model.gate.lifetime
    return 0.0 if lifetime is None else timeline.left_for(version, lifetime.wrong_promotions.a_year, since=since)

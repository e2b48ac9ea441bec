"""What the pages read, kept in memory as far as it can never change, and never more than a bounded amount of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from include.audit.audit_log import AuditLog, AuditState
from include.config.load import BrokenModel, load_models
from include.config.model import ModelConfig
from include.config.settings import Settings
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.readings import Retraction
from include.data.ingestion.retract import retracted_in
from include.data.segment_log import SegmentLog
from include.data.snapshots import Snapshot
from include.data.table_versions import TableLook, table_looks
from include.errors import ObjectCorrupt, RatchetError, StoreUnavailable
from include.monitoring.report.watch_report import WatchReport, watch_report
from include.monitoring.watch_log import WatchLog
from include.registry.history.recorded_measures import Measurement, load_measurement
from include.registry.history.summary import History, VersionSummary
from include.registry.history.version_details import VersionDetails, version_details
from include.registry.ledger import Ledger
from include.registry.timeline import fold
from include.registry.versions import Version, fit_of, load_version
from include.scoring.delivery_log import DeliveryLog, PlaceSummary, places
from include.scoring.library_check import known_problem
from include.storage.concurrency import at_once
from include.storage.content import digest_json
from include.storage.log import Entry
from include.storage.opening import open_store
from include.storage.store import ObjectStore
from ratchet_operators.connections import s3_client
from ratchet_ui.cache.ledger_reader import LedgerReader
from ratchet_ui.cache.lru_cache import ThreadSafeCache

LEDGERS, DETAILS, DECLARATIONS, DRAWINGS, VERSIONS = 500, 64, 1000, 64, 5000

Found = TypeVar("Found")
LogT = TypeVar("LogT")
Key = TypeVar("Key")


class PageCache:
    """The declared models and what the store holds about them.

    What can change is read at every call, each ledger too. Where a method takes ``seconds``, what was read less than so many
    seconds ago is taken instead; 0 reads anew, for all who ask later.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.store = open_store(settings.store, s3_client=lambda: s3_client(settings.store_connection))
        self._ledgers = ThreadSafeCache(LEDGERS)
        self._details = ThreadSafeCache(DETAILS)
        self._declarations = ThreadSafeCache(DECLARATIONS)
        self._measurements = ThreadSafeCache(VERSIONS)
        self._records = ThreadSafeCache(VERSIONS)
        self._fits = ThreadSafeCache(LEDGERS)
        self._reports = ThreadSafeCache(DETAILS)
        self._snapshots = ThreadSafeCache(LEDGERS)
        self._recent = ThreadSafeCache(VERSIONS, clock=clock)
        self._logs: dict[Hashable, tuple[Any, threading.Lock]] = {}
        self._stored: dict[str, str] = {}
        self.drawn = ThreadSafeCache(DRAWINGS)
        """What was drawn of a history, by its model and number of events."""

    def declared(self) -> tuple[dict[str, ModelConfig], list[BrokenModel]]:
        """Return the models by name, and the broken ones; a file is read again when it changed."""
        models: dict[str, ModelConfig] = {}
        broken: list[BrokenModel] = []
        for path in sorted(self.settings.models.glob("*/model.yaml")):
            name, facts = path.parent.name, path.stat()
            good, bad = self._declarations.get(
                (name, facts.st_mtime_ns, facts.st_size),
                lambda name=name: load_models(self.settings.models, only=name),  # type: ignore[misc]
            )
            models |= {model.declared_name: model for model in good}
            broken += bad
        self._stored = {name: model.name for name, model in models.items() if model.renamed_from}
        return models, broken

    def shown(self, model: str) -> str:
        """Return the name that a model has now: links of before it was renamed hold."""
        declared = self.declared()[0]
        if model in declared:
            return model
        return next((name for name, one in declared.items() if model in one.renamed_from), model)

    def stored(self, model: str) -> str:
        """Return the name under which the store keeps a model, by its declaration as it was read last."""
        return self._stored.get(model, model)

    def read(self, model: str) -> tuple[tuple[Entry, ...], History]:
        """Return a model's events and history; raises `StoreError`."""
        return self._ledgers.get(model, lambda: LedgerReader(Ledger(self.store, self.stored(model)), model)).read()

    def histories(self, models: list[str]) -> dict[str, History | RatchetError]:
        """Return the history of each model; one that can't be read does not hide the others."""

        def read(model: str) -> History | RatchetError:
            try:
                return self.read(model)[1]
            except RatchetError as error:
                return error

        return dict(zip(models, at_once(self.store, [partial(read, model) for model in models]), strict=True))

    def measurements(self, model: str, versions: Sequence[VersionSummary]) -> dict[str, Measurement]:
        """Return what was measured of the versions that were decided on, by id; evidence that is gone is left out.

        Raises
        ------
        StoreUnavailable
            When the store does not answer: what is drawn without a measurement would stay so until the next event.
        """
        decided = {c.id: c.standing.decision for c in versions if c.standing.decision is not None}
        evidence = {version: one.evidence for version, one in decided.items() if one.evidence is not None}
        return self._each(
            evidence,
            self._measurements,
            lambda digest: load_measurement(self.store, self.stored(model), digest),
            besides=(StoreUnavailable,),
        )

    def estimators(self, model: str, versions: Sequence[VersionSummary]) -> dict[str, str]:
        """Return the estimators of versions, by id."""
        return {
            version: record.estimator
            for version, record in self._each({c.id: c for c in versions}, None, partial(self._record, model)).items()
        }

    def _record(self, model: str, summary: VersionSummary) -> Version:
        """Return the record of a version; raises `StoreError`, and `RegistryError` if there is none."""
        place, state = self.stored(model), summary.standing
        return self._records.get(
            (place, summary.id, state.record, state.model_file),
            lambda: load_version(self.store, place, summary.id, digest=state.record, model_file=state.model_file),
        )

    def read_log(self, kind: Callable[[ObjectStore, str], LogT], model: str, read: Callable[[LogT], Found]) -> Found:
        """Read a log of what the store keeps under a model's name on from where it was read last; raises `StoreError`."""
        # What two threads make at the same time is one of the two: setdefault is atomic.
        log, lock = self._logs.setdefault((kind, model), (kind(self.store, model), threading.Lock()))
        with lock:  # one log is read by one thread at a time, and two logs side by side
            return read(log)

    def watched(self, model: ModelConfig) -> WatchReport | None:
        """Return how a model's champion is watched; folded again only when there is a new event or another declaration."""
        entries = self.read_log(WatchLog, model.name, WatchLog.entries)
        known = self.read(model.declared_name)[0]
        own = self.read_log(SegmentLog, model.name, SegmentLog.announced) if model.segments is not None else {}
        key = (model.name, len(entries), len(known), digest_json([model.to_json(), own]))
        return self._reports.get(key, lambda: watch_report(self.store, model, entries=entries, timeline=fold(known)))

    def library_problem(self, model: str, champion: VersionSummary, *, seconds: float = 0) -> str | None:
        """Return what tasks found wrong with a champion under the libraries that are installed here; raises `StoreError`."""
        record = self._record(model, champion)
        fit = self._fits.get((record.model, record.fit), lambda: fit_of(self.store, record))
        look, key = partial(known_problem, self.store, champion.id, fit), (known_problem, record.model, champion.id)
        try:
            found: RatchetError | None = self._recent.get(key, look, seconds=seconds)
        except ObjectCorrupt as error:
            found = error
        return None if found is None else found.message

    def audited(self, model: str, *, seconds: float = 0) -> AuditState:
        """Return what stands after a model's audits; raises `StoreError`."""
        place = self.stored(model)
        read = partial(self.read_log, AuditLog, place, AuditLog.state)
        return self._recent.get((AuditLog, place), read, seconds=seconds)

    def retracted(self, model: str, summary: VersionSummary, *, seconds: float = 0) -> list[Retraction]:
        """Return which of the rows that a version was trained or judged on were taken back since; raises `StoreError`."""
        place, pinned = self.stored(model), self._record(model, summary).snapshot
        snapshot = self._snapshots.get((place, pinned), lambda: Snapshot.load(self.store, place, pinned))

        def catalogue_of(source: Snapshot) -> Catalogue:
            return catalogues.setdefault(source.source, Catalogue(self.store, place, source.source))

        catalogues: dict[str, Catalogue]
        catalogues, lock = self._logs.setdefault((Catalogue, place), ({}, threading.Lock()))

        def read() -> list[Retraction]:
            with lock:
                return retracted_in(snapshot, catalogue_of)

        return self._recent.get((Catalogue, place, pinned), read, seconds=seconds)

    def delivered(self, model: str) -> list[PlaceSummary]:
        """Return where a model's scores were delivered; raises `StoreError`."""
        states = self.read_log(DeliveryLog, self.stored(model), DeliveryLog.read)
        return places(states.values(), fold(self.read(model)[0]))

    def _each(
        self,
        keys: Mapping[str, Key],
        kept: ThreadSafeCache | None,
        load: Callable[[Key], Found | None],
        *,
        besides: tuple[type[RatchetError], ...] = (),
    ) -> dict[str, Found]:
        def one(key: Key) -> Found | None:
            try:
                return load(key) if kept is None else kept.get(key, lambda: load(key))
            except besides:
                raise
            except RatchetError:
                return None

        found = zip(keys, at_once(self.store, [partial(one, key) for key in keys.values()]), strict=True)
        return {version: value for version, value in found if value is not None}

    def last_look(self, model: str) -> TableLook | None:
        """Return the newest look at a table without event time; raises `StoreError`."""
        return max(table_looks(self.store, self.stored(model)), key=lambda look: look.as_of, default=None)

    def details(self, model: str, summary: VersionSummary) -> VersionDetails:
        """Return what is on record about a version."""
        key = (model, summary.id, summary.standing.decided)
        return self._details.get(key, lambda: version_details(self.store, self.stored(model), summary.standing))


@lru_cache(maxsize=2)
def page_cache(settings: Settings) -> PageCache:
    """Return the cache of a deployment."""
    return PageCache(settings)

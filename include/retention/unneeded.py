"""Find the objects of a model that nothing needs: old, and not referenced by ledger, watch log or a current run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from include.config.model import ModelConfig
from include.data.quality.check_report import load_report
from include.data.snapshots import Snapshot
from include.monitoring.watch_log import OBSERVED, WatchLog, measured_in
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome, VersionState
from include.registry.versions import fit_of
from include.scoring.publication import window_of
from include.storage.concurrency import at_once
from include.storage.content import from_iso, get_json
from include.storage.store import ObjectStore, StoredObject
from include.training.fit_record import FitRecord

SCORES, QUARANTINE, VERSIONS = "scores", "quarantine", "versions"
FOLDERS = ("scores", "quarantine", "snapshots", "checks", "fits", "golden", "models")
"""The folders of a model whose objects may be unneeded."""
Found = Mapping[str, Sequence[StoredObject]]


@dataclass(frozen=True)
class Unneeded:
    """An object that nothing needs, with its kind in `retention`."""

    kind: str
    found: StoredObject


def unneeded(store: ObjectStore, model: ModelConfig, now: datetime, listed: Found) -> list[Unneeded]:
    """Return what may go by the model's `retention`, of every kind that it names.

    Age is counted from when the bytes were written. What a run under way has written and nothing names yet is young, and what
    it found there and uses again it takes back (`include.storage.tombstones.MarkedStore`).

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    now : datetime
        The instant that ages are counted to.
    listed : mapping of str to sequence of StoredObject
        What there was in each of `FOLDERS`, before anything that is read here.
    """
    declared, ledger = model.retention, Ledger(store, model.name)
    found: list[Unneeded] = []
    kept = _kept_versions(ledger, None if declared.versions is None else now - declared.versions)
    if declared.scores is not None:
        found += _scores(store, model, now - declared.scores, listed)
    if declared.quarantine is not None:
        found += _quarantine(store, ledger, kept, now - declared.quarantine, listed)
    if declared.versions is not None:
        found += _model_files(store, ledger, kept, now - declared.versions, listed)
    return found


def _kept_versions(ledger: Ledger, since: datetime | None) -> frozenset[str]:
    """Return the versions whose model files stay: those that may still be used, and recent ones."""
    entries = ledger.entries()
    last = {str(entry.body["version"]): from_iso(entry.at) for entry in entries}  # what was done last with each
    return frozenset(
        standing.version
        for standing in ledger.timeline().standings
        if since is None or last[standing.version] >= since or _may_be_asked(standing)
    )


def _may_be_asked(standing: VersionState) -> bool:
    """Tell whether a version is or can come into force, by a rollback, an answer, a reconsideration or `settle`; or has an alias."""
    if standing.withdrawn is not None:
        return False
    undecided = standing.decision is None and standing.rebuilt_as is None
    held = standing.decision is not None and standing.decision.outcome is Outcome.HOLD
    return standing.in_line or standing.may_change or undecided or held or bool(standing.aliases)


def _scores(store: ObjectStore, model: ModelConfig, before: datetime, listed: Found) -> Iterator[Unneeded]:
    waiting = _unmeasured(store, model)
    for one in listed["scores"]:
        interval, _, file = one.key.removeprefix(f"{model.name}/scores/").partition("/")
        if file.endswith(".parquet") and "/" not in file and one.written < before:
            window = window_of(interval)
            if not any(window.after < until and after < window.until for after, until in waiting):
                yield Unneeded(SCORES, one)


def _unmeasured(store: ObjectStore, model: ModelConfig) -> list[tuple[datetime, datetime]]:
    """Return the intervals whose predictions monitoring must still read: those of the champion whose labels have not matured."""
    timeline = Ledger(store, model.name).timeline()
    champion = timeline.original_of(timeline.champion)  # under whose name a rebuilt one is watched
    if model.schedule.monitor is None or champion is None:
        return []
    entries = WatchLog(store, model.name).entries()
    done = {one.until for one in measured_in(entries, champion)}
    observed = [
        (one.body["version"], from_iso(one.body["after"]), from_iso(one.body["until"]))
        for one in entries
        if one.kind == OBSERVED
    ]
    # Monitoring may be late: everything after its last interval is still needed.
    last = max((until for _, _, until in observed), default=datetime.min.replace(tzinfo=UTC))
    waiting = [(after, until) for version, after, until in observed if version == champion and until not in done]
    return [*waiting, (last, datetime.max.replace(tzinfo=UTC))]


def _quarantine(
    store: ObjectStore, ledger: Ledger, kept: Iterable[str], before: datetime, listed: Found
) -> Iterator[Unneeded]:
    """Yield old files of rows set aside that no kept version and no young run reads, behind the answers that lead to them."""
    name = ledger.model
    old = {one.key: one for one in listed["quarantine"] if one.written < before}
    if not old:
        return
    records = [ledger.version(version) for version in kept]
    young = [one.key for one in listed["snapshots"] if one.written >= before]
    named = {record.snapshot for record in records} | {_stem(key) for key in young}
    for decision in (look for version in kept for look in ledger.timeline()[version].looks):
        if (comparison := ledger.compare(decision)) is not None:
            named.add(comparison.evidence.snapshot)
    needed = {file for digest in named for file in _set_aside(store, name, digest)}
    answers = {}
    for one in (one for one in listed["checks"] if one.key.startswith(f"{name}/checks/index/")):
        answer = get_json(store, one.key).get("answer")
        if answer is None:
            continue  # of release 0.1, no longer used
        files = _set_aside(store, name, load_report(store, name, answer["report"])["goes_on_with"])
        if one.written >= before:
            needed |= files
        else:
            answers[one.key] = (one, files)
    gone = old.keys() - needed
    yield from (Unneeded(QUARANTINE, one) for one, files in answers.values() if files & gone)
    yield from (Unneeded(QUARANTINE, old[key]) for key in sorted(gone))


def _set_aside(store: ObjectStore, model: str, snapshot: str | None) -> set[str]:
    if snapshot is None:
        return set()
    sources = Snapshot.load(store, model, snapshot).sources
    return {f"{model}/quarantine/{one.excluded}.parquet" for one in sources if one.excluded is not None}


def _model_files(
    store: ObjectStore, ledger: Ledger, kept: frozenset[str], before: datetime, listed: Found
) -> Iterator[Unneeded]:
    """Yield model files and golden rows of versions that are not kept, and of old fits that became no version.

    The records of registered versions and their fits stay: evidence, decisions and the audit name them. The record of a fit
    that no version names goes with its model file, so that the same fit is made again where it is asked for.
    """
    name = ledger.model
    records = {standing.version: ledger.version(standing.version) for standing in ledger.timeline().standings}
    of_version = {
        version: {record.fit, *record.baselines.values(), *record.candidates.values(), *record.records}
        for version, record in records.items()
    }
    registered = set().union(*of_version.values()) if of_version else set()
    fits = {_stem(one.key): one for one in listed["fits"]}
    abandoned = {key for key, one in fits.items() if key not in registered and one.written < before}
    own = {key: record for version, record in records.items() if version in kept for key in of_version[version]}
    calls = [partial(fit_of, store, record, key) for key, record in own.items()]
    young = fits.keys() - registered - abandoned
    calls += [partial(_young_fit, store, name, key) for key in young]
    needed = {f"{name}/models/{file}.skops" for fit in at_once(store, calls) for file in _files(fit)}
    for key in sorted(abandoned):
        yield Unneeded(VERSIONS, fits[key])
    for one in listed["golden"]:
        version = one.key.split("/")[2]
        if version not in kept and one.written < before:
            yield Unneeded(VERSIONS, one)
    for one in listed["models"]:
        if one.key not in needed and one.written < before:
            yield Unneeded(VERSIONS, one)


def _young_fit(store: ObjectStore, model: str, key: str) -> FitRecord:
    return FitRecord.from_json(get_json(store, f"{model}/fits/{key}.json"))


def _files(fit: FitRecord) -> Iterator[str]:
    yield fit.model_file
    yield from fit.refits or ()
    if fit.unmitigated is not None:
        yield fit.unmitigated.model_file


def _stem(key: str) -> str:
    return key.rpartition("/")[2].partition(".")[0]

"""Reproduce a version: train it again from its record, compare the models, and name every difference."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from include.config.model import ModelConfig
from include.config.sections.data import Data
from include.data.frames import read_rows
from include.data.ingestion.slot_reading import read_again
from include.data.snapshots import Pinned, Snapshot
from include.data.sources.connections import Connections
from include.errors import RatchetError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.versions import fit_of
from include.reproduction import differences
from include.reproduction.changed_rows import changed_rows, damaged
from include.reproduction.prediction_differences import difference
from include.reproduction.report import Kind, Outcome, Predictions, Reproduction, ReproductionDifference
from include.reproduction.scratch_store import ScratchStore
from include.storage.content import get_content
from include.storage.store import ObjectStore
from include.storage.tombstones import MarkedStore
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.fit_record import FitRecord
from include.training.persistence.model_file import identity, load, predict_scores
from include.training.provenance import code_of, config_of

log = logging.getLogger(__name__)

TOLERANCE = 1e-6
"""The largest accepted difference of two predictions: of probabilities as it is, of values times their standard deviation."""


def reproduce(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    version: str,
    *,
    at: datetime,
    connections: Connections,
    threads: int = 1,
) -> Reproduction:
    """Train a version again and compare.

    The new fit is made from what is on record: the declaration, the pinned rows and the code, each verified by its digest.
    It is made in a scratch store that has no fits and no model files, so that it can't be found, and leaves no trace.
    Beside that, what would go into a retraining today (rows of the source, declaration, code, libraries) is compared with
    the record, and each difference is named.

    Parameters
    ----------
    model : ModelConfig
        The declaration of today.
    folder : Path
        The model's folder.
    version : str
        The id of a registered version.
    at : datetime
        The instant at which the source is read again.

    Raises
    ------
    RegistryError
        When the version is not registered.
    TrainingError
        When it is from before declarations were kept with fits.
    ObjectCorrupt, ObjectMissing
        When a record or its code is not what the ledger names, directly or not; nothing of it is run then.
    """
    store = MarkedStore(store, model.name)  # of what was removed it says so
    ledger = Ledger(store, model.name)
    record, registered = ledger.version(version), _registered_file(ledger, version)
    fit = fit_of(store, record)
    config = config_of(store, fit)
    snapshot = Snapshot.load(store, model.name, record.snapshot)
    recipe = recipe_of(config, fit.candidate)
    found = [
        *differences.of_records(store, record, fit, recipe),
        *differences.of_settings(config, model),
        *differences.of_code(store, fit, recipe, snapshot, config, folder),
        *differences.of_libraries(fit, recipe),
        *differences.of_platform(fit),
    ]
    with tempfile.TemporaryDirectory(prefix="ratchet-reproduce-") as place:
        scratch = ScratchStore(store, Path(place) / "fits", without=(f"{model.name}/fits/", f"{model.name}/models/"))
        again = ScratchStore(store, Path(place) / "rows", without=(f"{model.name}/partitions/",))

        def read_source() -> Snapshot:
            return read_again(again, config, folder, snapshot, at=at, connections=connections)

        found += _of_rows(store, config, snapshot, scratch, again, read_source)
        made, predictions, same, why = None, None, False, None
        try:
            with code_of(store, fit, recipe.functions, folder) as code:
                made = fit_candidate(scratch, config, code, snapshot, fit.candidate, threads=threads)
                same = made.model_file == registered or _same_content(store, registered, made)
                if not same:
                    predictions = _compare(store, scratch, config, code, snapshot, registered, made)
        except StoreUnavailable:
            raise
        except RatchetError as error:
            why = error.message
    if made is not None and recipe.search is not None and made.params != fit.params:
        found.append(
            ReproductionDifference(Kind.SETTING, "found by the search", str(fit.params), str(made.params), bears=True)
        )
    report = Reproduction(
        model=model.name,
        version=version,
        candidate=fit.candidate,
        outcome=_outcome(predictions, same=same),
        why=why,
        recorded_file=registered,
        made_file=made.model_file if made else None,
        predictions=predictions,
        differences=tuple(found),
    )
    for one in report.differences:
        log.warning("%s%s", one, "" if one.bears else " (no bearing on this version)")
    log.info("%s: %s", version, report.sentence)
    return report


def _registered_file(ledger: Ledger, version: str) -> str:
    """Return the digest of the model file from the ledger, whose chain is verified; raises `RegistryError` without the version."""
    return str(ledger.timeline()[version].model_file)


def _of_rows(
    store: ObjectStore,
    config: ModelConfig,
    snapshot: Snapshot,
    scratch: ScratchStore,
    again: ScratchStore,
    read_source: Callable[[], Snapshot],
) -> Iterator[ReproductionDifference]:
    """Compare the pinned rows with the store's bytes and with what the source gives now.

    A partition whose bytes are damaged is taken from the source, if that still gives the very same file.
    """
    try:
        now = read_source()
    except StoreUnavailable:
        raise
    except RatchetError as error:
        log.warning("the source can't be compared: %s", error)
        recorded = f"{sum(pinned.rows for source in snapshot.sources for pinned in source.partitions):,} rows"
        yield ReproductionDifference(
            Kind.ROWS, "of the source", recorded, f"not to be read: {error.message}", bears=False
        )
        now = None
    for place, (data, then) in enumerate(zip(config.data.sources, snapshot.sources, strict=True)):
        name = f"join `{snapshot.joins[place - 1].rule.name}`, " if place else ""
        today = None if now is None else now.sources[place]
        yield from _of_source(store, data, then, today, scratch, again, name)


def _of_source(
    store: ObjectStore,
    data: Data,
    snapshot: Snapshot,
    now: Snapshot | None,
    scratch: ScratchStore,
    again: ScratchStore,
    of: str,
) -> Iterator[ReproductionDifference]:
    broken = damaged(store, snapshot)
    if now is not None:
        whole = [pair for pair in zip(snapshot.partitions, now.partitions, strict=True) if pair[0] not in broken]
        then = _only(snapshot, [before for before, _ in whole])
        today = _only(now, [after for _, after in whole])
        for change in changed_rows(store, then, again, today, data):
            name = f"of the source, {of}partition {change.slot}"
            yield ReproductionDifference(Kind.ROWS, name, f"{change.rows:,} rows", str(change), bears=False)
    for pinned in broken:
        name = f"{of}partition {pinned.slot}"
        same = next((one for one in now.partitions if one == pinned), None) if now is not None else None
        if same is None:
            other = "damaged or missing in the store, and the source gives other rows now"
        else:
            other = "damaged or missing in the store; taken from the source, which gives the same"
            key = snapshot.partition_key(pinned)
            scratch.put_if_absent(key, again.get(key))
        yield ReproductionDifference(
            Kind.RECORD, name, f"{pinned.rows:,} rows, file {pinned.file[:12]}", other, bears=True
        )


def _only(snapshot: Snapshot, partitions: list[Pinned]) -> Snapshot:
    return replace(snapshot, partitions=tuple(partitions))


def _compare(
    store: ObjectStore,
    scratch: ObjectStore,
    config: ModelConfig,
    code: Path,
    snapshot: Snapshot,
    registered: str,
    made: FitRecord,
) -> Predictions:
    """Ask both models about the holdout rows."""
    frame = read_rows(scratch, snapshot, config, code, window="holdout", columns=list(made.columns))
    folder = f"{config.name}/models"
    then = predict_scores(load(get_content(store, folder, ".skops", registered), registered), frame)
    now = predict_scores(load(get_content(scratch, folder, ".skops", made.model_file), made.model_file), frame)
    tolerance = TOLERANCE if made.classes is not None else TOLERANCE * float(np.std(then))
    return difference(then, now, tolerance)


def _same_content(store: ObjectStore, registered: str, made: FitRecord) -> bool:
    """Tell whether a file of an earlier release, which named our types by their modules, holds what was made now."""
    return identity(get_content(store, f"{made.model}/models", ".skops", registered)) == made.model_file


def _outcome(predictions: Predictions | None, *, same: bool) -> Outcome:
    if same:
        return Outcome.IDENTICAL
    if predictions is None:
        return Outcome.IMPOSSIBLE
    return Outcome.DIFFERENT if predictions.beyond else Outcome.EQUAL

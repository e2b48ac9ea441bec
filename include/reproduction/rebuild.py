"""Rebuild a promoted version under the libraries here: train it again, prove that it predicts the same, and put it in its place."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from include.config.model import BASELINES, ModelConfig
from include.config.names import REBUILD_TOLERANCE
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.errors import (
    EvaluationError,
    ModelFileRefused,
    NotReproduced,
    ObjectCorrupt,
    ObjectMissing,
    RegistryError,
    StoreError,
)
from include.registry.challenger_selection import choose_challenger
from include.registry.ledger import Ledger
from include.registry.version_states import VersionState
from include.registry.versions import Version, fit_of, load_version
from include.reproduction import differences
from include.reproduction.page import save
from include.reproduction.report import Outcome, Predictions, Reproduction
from include.reproduction.scratch_store import ScratchStore
from include.scoring.golden import PREDICTED, check_golden, keep_golden, load_golden
from include.scoring.predictor import Array, Predictor, open_predictor
from include.storage.log import Entry
from include.storage.store import ObjectStore
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.fit_record import FitRecord
from include.training.library_versions import changed_libraries, name_changes
from include.training.provenance import code_of, config_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rebuilt:
    """What came of a rebuild.

    Attributes
    ----------
    report : Reproduction
        How the version compares with the original.
    digest, page : str
        Digests of the stored report and of its page.
    version : str or None
        The id of the rebuilt version, which is in force in place of the original; None if their predictions differ.
    """

    report: Reproduction
    digest: str
    page: str
    version: str | None

    @property
    def sentence(self) -> str:
        """What came of it, with the numbers."""
        found = self.report.predictions
        assert found is not None  # noqa: S101 (without them there is no result)
        facts = (
            f"the largest difference of {found.rows:,} predictions ({found.proof}) is {found.largest:.3g}, "
            f"the tolerance {found.tolerance:.3g}"
        )
        if self.version is None:
            what = f"{found.beyond:,} predictions differ" if found.beyond else "The threshold or the bounds differ"
            return f"Under the libraries here {self.report.version} becomes another model. {what}: {facts}."
        return f"{self.version} has the place of {self.report.version}: {facts}."


def rebuild(
    ledger: Ledger,
    model: ModelConfig,
    folder: Path,
    version: str,
    *,
    actor: dict[str, Any],
    at: datetime,
    tolerance: float = REBUILD_TOLERANCE,
    threads: int = 1,
) -> Rebuilt:
    """Train a promoted version again under the libraries here, and put it in force as the equal of the original.

    The fit is made from what is on record: declaration, rows and code, each verified by its digest. The proof is made on the
    whole holdout if the original's model file can be used here: it can be loaded, and gives its golden rows. Otherwise the
    proof is made on the golden rows, which were stored with their predictions when the original was registered. Only then are the
    new fits copied into the store, and the ledger says which version has the place of which. Without proof nothing is left
    but the report. Repeated, the same version is found.

    Parameters
    ----------
    ledger : Ledger
        The model's ledger, to which is written.
    model : ModelConfig
        The declaration of today; the version is trained by the one on record.
    folder : Path
        The model's folder.
    version : str
        The id of a promoted version.
    tolerance : float
        How far predictions may be apart: of probabilities as it is, of values times the standard deviation of the target.

    Raises
    ------
    RegistryError
        When the version is not in line, or the libraries are those that it was trained with.
    NotReproduced
        When neither its model file nor golden rows are there to compare with, or predictions have another shape.
    TrainingError, ObjectMissing, ObjectCorrupt
        When the record can't be used.
    """
    if not 0 < tolerance < 1:
        raise RegistryError("The tolerance of a rebuild is out of range.", expected="between 0 and 1", found=tolerance)
    store = ledger.store
    standing, record = ledger.timeline()[version], ledger.version(version)
    _require_in_line(standing)
    fit = fit_of(store, record)
    if not (changes := changed_libraries(fit.libraries)):
        raise RegistryError(
            f"There is nothing to rebuild: the libraries here are those that {version} was trained with.",
            expected="another version of a library",
            found=", ".join(f"{name} {number}" for name, number in fit.libraries.items()),
            remedy=f"without *rebuild*, reproduce_{model.name} compares it with its record",
        )
    log.info("%s: libraries differ: %s", version, name_changes(changes))
    config, snapshot = config_of(store, fit), Snapshot.load(store, model.name, record.snapshot)
    recipe = recipe_of(config, fit.candidate)
    with tempfile.TemporaryDirectory(prefix="ratchet-rebuild-") as place:
        scratch = ScratchStore(store, Path(place), without=())
        with code_of(store, fit, recipe.functions, folder) as code:
            names = (fit.candidate, *BASELINES)
            made = {name: fit_candidate(scratch, config, code, snapshot, name, threads=threads) for name in names}
            new = choose_challenger(scratch, config, record.as_of, {name: one.key for name, one in made.items()})
            signed = ledger.statement(version)
            golden = load_golden(store, model.name, version, named=signed.golden if signed else ())
            predictions = _compare(store, scratch, config, code, snapshot, record, new, golden, tolerance)
        again, same = made[fit.candidate], new.model_file == record.model_file
        differ = predictions.beyond > 0 or _decides_otherwise(fit, again, predictions.tolerance)
        report = Reproduction(
            model=model.name,
            version=version,
            candidate=fit.candidate,
            outcome=Outcome.DIFFERENT if differ else Outcome.IDENTICAL if same else Outcome.EQUAL,
            why=None,
            recorded_file=record.model_file,
            made_file=new.model_file,
            predictions=predictions,
            differences=(*differences.of_libraries(fit, recipe), *differences.of_platform(fit)),
        )
        digest, page = save(store, report)
        if differ:
            return Rebuilt(report, digest, page, None)
        _copy(scratch, store)
    stored = load_version(store, model.name, new.id)
    keep_golden(store, config, folder, stored)
    ledger.rebuild(version, stored, proof=digest, actor=actor, at=at)
    log.info("%s has the place of %s: predictions on the %s agree", new.id, version, predictions.proof)
    return Rebuilt(report, digest, page, new.id)


def find_own_rebuild(entries: Iterable[Entry], actor: dict[str, Any]) -> Entry | None:
    """Return the rebuild that the run of ``actor`` has put on record before; None without one."""
    run = (actor.get("dag"), actor.get("run"))
    own = (one for one in entries if one.kind == "rebuilt")
    return next((one for one in own if (one.body["actor"].get("dag"), one.body["actor"].get("run")) == run), None)


def _require_in_line(standing: VersionState) -> None:
    """Refuse before anything is trained what the ledger would refuse after it."""
    if standing.in_line:
        return
    raise RegistryError(
        "Only a promoted version can be rebuilt.",
        expected="a version that was promoted, and is neither withdrawn nor rebuilt already",
        found=f"rebuilt as {standing.rebuilt_as}" if standing.rebuilt_as else "another state",
        where=standing.version,
        remedy="retrain the model, or name the version that stands for it now",
    )


def _compare(
    store: ObjectStore,
    scratch: ScratchStore,
    config: ModelConfig,
    code: Path,
    snapshot: Snapshot,
    original: Version,
    rebuilt: Version,
    golden: list[pa.Table],
    tolerance: float,
) -> Predictions:
    """Compare predictions on the holdout, or on golden rows where the original's model file can't be used here."""
    target = config.data.target
    if config.task == "regression" and target is not None:
        rows = read_rows(scratch, snapshot, config, code, window="holdout", columns=[target])
        tolerance *= float(np.std(rows[target].to_numpy(dtype=float)))
    with open_predictor(scratch, config, code, rebuilt) as now:
        try:
            with open_predictor(store, config, code, original) as then:
                for table in golden:
                    check_golden(then, table)
                frame = then.read(store, snapshot, then.fit.columns)
                before, after = then.predict(frame).score, now.predict(frame).score
                return _apart(before, after, tolerance, "holdout")
        except (EvaluationError, ModelFileRefused, ObjectCorrupt, ObjectMissing) as error:
            log.warning("%s can't be used under the libraries here: %s", original.id, error.message)
        if not golden:
            raise NotReproduced(
                f"{original.id} can't be measured: its model file can't be used here, and no golden rows are stored of it.",
                expected="a model file that can be loaded and predicts, or golden rows",
                found="neither",
                where=f"{config.name}: {original.id}",
                remedy="rebuild it where the former libraries are installed beside, or retrain the model",
            )
        stored = np.concatenate([np.asarray(one[PREDICTED].to_pylist(), dtype=float) for one in golden])
        return _apart(stored, np.concatenate([_predicted(now, one) for one in golden]), tolerance, "golden rows")


def _predicted(predictor: Predictor, golden: pa.Table) -> Array:
    rows = golden.drop_columns([PREDICTED]).select(list(predictor.schema))
    score = predictor.predict(predictor.inputs(rows)).score.astype(float)
    return score.reshape(len(score), -1)


def _apart(then: Array, now: Array, tolerance: float, proof: str) -> Predictions:
    """Return how far predictions of shape (n_rows,) or (n_rows, n_values) are apart; raises `NotReproduced` if shapes differ."""
    if then.shape != now.shape:
        raise NotReproduced(
            "Under the libraries here it becomes another model: its predictions have another shape.",
            expected=f"{then.shape[1:] or 'one value'} for each of {len(then):,} rows",
            found=f"{now.shape[1:] or 'one value'} for each of {len(now):,}",
            remedy="retrain the model",
        )
    apart = np.abs(then.astype(float) - now).reshape(len(then), -1).max(axis=1)
    return Predictions(len(then), float(apart.max()), int((apart > tolerance).sum()), tolerance, proof)


def _decides_otherwise(then: FitRecord, now: FitRecord, tolerance: float) -> bool:
    """Tell whether labels or bounds of predictions would differ, though the predictions agree."""
    offsets = [(one.interval.offsets if one.interval is not None else ()) for one in (then, now)]
    pairs = [*zip(*offsets, strict=False)]
    if then.threshold is not None and now.threshold is not None:
        pairs.append((then.threshold, now.threshold))
    same = (then.classes, then.columns, then.threshold is None, len(offsets[0]))
    if same != (now.classes, now.columns, now.threshold is None, len(offsets[1])):
        return True
    return any(abs(one - other) > tolerance for one, other in pairs)


def _copy(scratch: ScratchStore, store: ObjectStore) -> None:
    """Copy what was made, records last: a reader of a record finds all that it names."""
    records = ("fits", "versions")
    for key in sorted(scratch.written.list(""), key=lambda key: (key.split("/")[1] in records, key)):
        if not store.put_if_absent(key, scratch.written.get(key)) and key.split("/")[1] not in records:
            _check_equal(store, key, scratch.written.get(key))


def _check_equal(store: ObjectStore, key: str, body: bytes) -> None:
    if store.get(key) != body:
        raise StoreError("An object of the store is not the one that it is named by.", where=f"{store.url}: {key}")

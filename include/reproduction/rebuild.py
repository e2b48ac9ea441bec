"""Rebuild a promoted version with the installed libraries: train it again, prove equal predictions, and replace the original."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from include.config.model import BASELINES, ModelConfig
from include.config.names import REBUILD_TOLERANCE
from include.data.snapshots import Snapshot
from include.errors import RegistryError, StoreError
from include.registry.challenger_selection import choose_challenger
from include.registry.ledger import Ledger
from include.registry.version_states import VersionState
from include.registry.versions import fit_of, load_version
from include.reproduction import differences
from include.reproduction.page import save
from include.reproduction.prediction_differences import compare_predictions, decides_otherwise
from include.reproduction.report import Outcome, Reproduction
from include.reproduction.scratch_store import ScratchStore
from include.scoring.golden import keep_golden, load_golden
from include.storage.log import Entry
from include.storage.store import ObjectStore
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.library_versions import changed_libraries, name_changes
from include.training.provenance import code_of, config_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild.

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
        """The result in a sentence, with the numbers."""
        found = self.report.predictions
        assert found is not None  # noqa: S101 (without them there is no result)
        facts = (
            f"the largest difference of {found.rows:,} predictions ({found.proof}) is {found.largest:.3g}, "
            f"the tolerance {found.tolerance:.3g}"
        )
        if self.version is None:
            what = f"{found.beyond:,} predictions differ" if found.beyond else "The threshold or the bounds differ"
            return f"With the installed libraries {self.report.version} becomes another model. {what}: {facts}."
        return f"{self.version} replaces {self.report.version}: {facts}."


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
            f"There is nothing to rebuild: {version} was trained with the installed libraries.",
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
            predictions = compare_predictions(
                store, scratch, config, code, snapshot, record, new, golden=golden, tolerance=tolerance
            )
        again, same = made[fit.candidate], new.model_file == record.model_file
        differ = predictions.beyond > 0 or decides_otherwise(fit, again, predictions.tolerance)
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
    log.info("%s replaces %s: predictions on the %s agree", new.id, version, predictions.proof)
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
        remedy="retrain the model, or name the version that replaced it",
    )


def _copy(scratch: ScratchStore, store: ObjectStore) -> None:
    """Copy what was made, records last: a reader of a record finds all that it names."""
    records = ("fits", "versions")
    for key in sorted(scratch.written.list(""), key=lambda key: (key.split("/")[1] in records, key)):
        if not store.put_if_absent(key, scratch.written.get(key)) and key.split("/")[1] not in records:
            _check_equal(store, key, scratch.written.get(key))


def _check_equal(store: ObjectStore, key: str, body: bytes) -> None:
    if store.get(key) != body:
        raise StoreError("An object of the store does not match its digest.", where=f"{store.url}: {key}")

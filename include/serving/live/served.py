"""One loaded version: opened, verified with its golden rows, and compiled for single rows."""

from __future__ import annotations

import logging
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from include.config.code import load_function
from include.config.model import ModelConfig
from include.errors import RatchetError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.versions import Version, fit_of
from include.scoring.golden import PREDICTED, check_golden, golden_of, holdout_rows, load_golden
from include.scoring.library_check import UNUSABLE, explain
from include.scoring.predictor import Predictor, open_predictor
from include.serving.compiled.single_row import SingleRow, strange_rows
from include.serving.protocol.row_schema import RequestSchema
from include.serving.protocol.version_schema import schema_of
from include.storage.content import to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

VERIFIED_ROWS = 10_000
"""The number of rows on which a compiled form is verified against the pipeline; half of them with a changed value."""
ONLINE = "online"
"""The file of a model's folder that may hold ``derive(row)``, for single rows."""
RETRY_SECONDS = 30.0
"""After how long a version that was refused is tried again."""


@dataclass(eq=False)
class Served:
    """One version in memory. A request takes it once and uses it to its end."""

    predictor: Predictor
    schema: RequestSchema
    single: SingleRow | None = None
    """The compiled form, once it is verified; the pipeline answers until then."""
    compiled: bool = False
    """Whether compiling was tried: not every version has a compiled form."""

    @property
    def version(self) -> str:
        """The version's id."""
        return self.predictor.version.id

    @property
    def as_of(self) -> str:
        """The version's as-of, as text."""
        return to_iso(self.predictor.version.as_of)


def open_served(ledger: Ledger, declared: ModelConfig, folder: Path, version: str) -> Served:
    """Load a version and hold it to its golden rows.

    Parameters
    ----------
    ledger : Ledger
        Of the model, or of the segment.
    declared : ModelConfig
        Under the name that the ledger has.
    folder : Path
        The model's folder.
    version : str
        Its id.

    Raises
    ------
    RatchetError
        When it can't be used, or does not predict what it did.
    """
    record = ledger.version(version)
    try:
        return _open_checked(ledger, declared, folder, record)
    except UNUSABLE as error:
        raise explain(error, version, fit_of(ledger.store, record)) from error


def _open_checked(ledger: Ledger, declared: ModelConfig, folder: Path, record: Version) -> Served:
    stack, store = ExitStack(), ledger.store
    try:
        predictor = stack.enter_context(open_predictor(store, declared, folder, record))
        signed = ledger.statement(record.id)
        kept = load_golden(store, declared.name, record.id, named=signed.golden if signed else ())
        for golden in kept or [golden_of(store, predictor)]:
            check_golden(predictor, golden)
            sample = golden.drop_columns([PREDICTED])
        served = Served(predictor, schema_of(predictor, sample.select(list(predictor.schema))))
    except BaseException:
        stack.close()
        raise
    # The copy of its code is removed when the version is no longer used.
    weakref.finalize(served, stack.close)
    return served


def compile_single(store: ObjectStore, folder: Path, served: Served) -> None:
    """Compile a version for single rows, once, and use that if it gives the same numbers."""
    if served.compiled:
        return
    name = served.predictor.model.declared_name
    try:
        served.single = _compiled(store, folder, served.predictor)
        log.info("%s: single rows of %s are compiled", name, served.version)
    except StoreUnavailable:
        return  # at the next look
    except Exception as error:  # noqa: BLE001 - the team's own code may raise anything, and the pipeline answers
        why = error.message if isinstance(error, RatchetError) else type(error).__name__
        log.info("%s: single rows of %s are predicted by the pipeline: %s", name, served.version, why)
    served.compiled = True


def _compiled(store: ObjectStore, folder: Path, predictor: Predictor) -> SingleRow:
    derive = None
    if predictor.derive is not None and (folder / f"{ONLINE}.py").is_file():
        derive = load_function(folder, f"{ONLINE}:derive")
    single = SingleRow(predictor, derive)
    rows = holdout_rows(store, predictor, VERIFIED_ROWS // 2)
    single.verify(predictor, pa.concat_tables([rows, strange_rows(rows)]))
    return single

"""Measure versions by id: load the rows and model files that the registry names."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import NotEnoughRows
from include.evaluation.compared_models import ComparedModel
from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.measure import measure
from include.registry.decisions import Measure
from include.registry.versions import Version, fit_of, pooled_fit
from include.storage.content import to_iso
from include.storage.store import ObjectStore

IngestWindow = Callable[[Window], Snapshot]
"""Ingests and checks the rows of a window, and returns their snapshot."""


def evaluator(
    store: ObjectStore,
    folder: Path,
    *,
    threads: int,
    as_of: datetime | None = None,
    ingest: IngestWindow | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Measure:
    """Return what measures a version against its incumbent: on the version's own holdout, or on all that matured since.

    Parameters
    ----------
    store : ObjectStore
    folder : Path
        The model's folder.
    threads : int
        How many threads measuring may compute with.
    as_of : datetime, optional
        Measure on every row after the version's training that neither model was fitted on and that matured by then.
    ingest : callable, optional
        Ingests those rows; needed with ``as_of``.
    clock : callable
        Tells seconds, for the time that predicting takes.
    """

    def rows(model: ModelConfig, version: Version, incumbent: Version | None) -> Snapshot:
        own = Snapshot.load(store, model.name, version.snapshot)
        if as_of is None or ingest is None:
            return own
        after = own.split.holdout.after
        if incumbent is not None:
            after = max(after, fit_of(store, incumbent).train.until + model.data.label_delay)
        until = as_of - model.data.label_delay
        if until <= after:
            raise NotEnoughRows(
                "No row has matured that neither model was fitted on.",
                expected=f"an as-of after {to_iso(after + model.data.label_delay)}",
                found=to_iso(as_of),
                where=version.id,
            )
        return ingest(Window(after, until))

    def measure_version(
        model: ModelConfig, version: Version, incumbent: Version | None, *, again: str | None = None
    ) -> tuple[Evidence, str]:
        def compared(of: Version) -> ComparedModel:
            return ComparedModel(of.id, fit_of(store, of))

        baselines = {name: fit_of(store, version, key) for name, key in version.baselines.items()}
        if (pooled := pooled_fit(store, version)) is not None:
            baselines["pooled"] = pooled
        return measure(
            store,
            model,
            folder,
            snapshot=rows(model, version, incumbent),
            challenger=compared(version),
            incumbent=compared(incumbent) if incumbent else None,
            baselines=baselines,
            clock=clock,
            threads=threads,
            again=None if again is None else load_evidence(store, model.name, again),
        )

    return measure_version

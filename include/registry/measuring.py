"""Measure versions: the step from the registry's ids to the rows and model files that they name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.evaluation.contenders import Contender
from include.evaluation.evidence import Evidence
from include.evaluation.measure import measure
from include.registry.ledger import Measure
from include.registry.versions import Version
from include.storage.store import ObjectStore
from include.training.record import load_fit


def measurer(store: ObjectStore, folder: Path, *, clock: Callable[[], float] = time.perf_counter) -> Measure:
    """Return what measures a version against its incumbent on the version's own holdout.

    Parameters
    ----------
    store : ObjectStore
    folder : Path
        The model's folder.
    clock : callable
        Tells seconds, for the time that predicting takes.
    """

    def measure_version(model: ModelConfig, version: Version, incumbent: Version | None) -> tuple[Evidence, str]:
        def contender(of: Version) -> Contender:
            return Contender(of.id, load_fit(store, of.model, of.fit))

        return measure(
            store,
            model,
            folder,
            snapshot=Snapshot.load(store, model.name, version.snapshot),
            challenger=contender(version),
            incumbent=contender(incumbent) if incumbent else None,
            baselines={name: load_fit(store, model.name, key) for name, key in version.baselines.items()},
            clock=clock,
        )

    return measure_version

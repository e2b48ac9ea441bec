"""Choose the challenger among the candidates of a run."""

from __future__ import annotations

import logging
from datetime import datetime

from include.config.model import BASELINES, ModelConfig
from include.registry.versions import Version, save_version
from include.storage.store import ObjectStore
from include.training.record import load_fit
from include.training.selection import select

log = logging.getLogger(__name__)


def choose_challenger(store: ObjectStore, model: ModelConfig, as_of: datetime, fits: dict[str, str]) -> Version:
    """Give a version to the fit with the best validation score; of equals, to the one declared first.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    as_of : datetime
        The instant that the run stands at.
    fits : dict of str to str
        The keys of the run's fits by candidate; the baselines are among them, to be measured against, not to be chosen.

    Raises
    ------
    TrainingError
        When no candidate was fitted.
    """
    records = {name: load_fit(store, model.name, key) for name, key in fits.items()}
    candidates = [records[name] for name in model.candidate_names if name in records]
    for record in candidates:
        if record.cv is not None:
            log.info(
                "%s: %s %.4f (+/- %.4f) in validation",
                record.candidate,
                record.cv.metric,
                record.cv.mean,
                record.cv.std,
            )
    best = select(candidates)
    version = save_version(store, model, as_of, best, {name: records[name] for name in BASELINES}, candidates)
    log.info("challenger: %s, fitted by %s", version.id, best.candidate)
    return version

"""Choose the challenger among the candidates of a run."""

from __future__ import annotations

import logging
import math
from datetime import datetime

from include.config.model import BASELINES, ModelConfig
from include.config.names import METRICS
from include.errors import TrainingError
from include.registry.versions import Version, save_version
from include.storage.store import ObjectStore
from include.training.fit import load_fit

log = logging.getLogger(__name__)


def select(store: ObjectStore, model: ModelConfig, as_of: datetime, fits: dict[str, str]) -> Version:
    """Give a version to the fit with the best validation score; of equals, to the one declared first.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    as_of : datetime
        The instant that the run stands at.
    fits : dict of str to str
        The keys of the run's fits by candidate; the baselines are among them, to be measured against but not to be chosen.

    Raises
    ------
    TrainingError
        When no candidate has a validation score.
    """
    records = {name: load_fit(store, model.name, key) for name, key in fits.items()}
    sign = 1 if METRICS[model.gate.primary.metric].greater_is_better else -1
    scored = [
        (sign * record.cv.mean, record)
        for name in model.candidate_names
        if (record := records.get(name)) is not None and record.cv is not None and math.isfinite(record.cv.mean)
    ]
    if not scored:
        raise TrainingError(
            "No candidate can be chosen.",
            expected=f"a validation score ({model.gate.primary.metric}) of at least one of {', '.join(model.candidate_names)}",
            found=f"fits of {', '.join(fits) or 'nothing'}",
            remedy="look into the log of the train tasks",
        )
    for _, record in scored:
        assert record.cv is not None  # noqa: S101 (kept above)
        log.info("%s: %s %.4f (+/- %.4f) in validation", record.candidate, record.cv.metric, record.cv.mean, record.cv.std)
    best = max(scored, key=lambda pair: pair[0])[1]
    version = save_version(store, model, as_of, best, {name: records[name] for name in BASELINES})
    log.info("challenger: %s, fitted by %s", version.id, best.candidate)
    return version

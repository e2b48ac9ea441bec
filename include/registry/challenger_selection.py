"""Choose the challenger among the candidates of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from include.config.model import BASELINES, ModelConfig
from include.errors import TrainingError
from include.registry.versions import Version, save_version
from include.storage.remembering import read_ahead
from include.storage.store import ObjectStore
from include.training.fit_record import read_fit
from include.training.model_selection.candidate_selection import select_challenger
from include.training.provenance import verify_fit_key

log = logging.getLogger(__name__)


def choose_challenger(
    store: ObjectStore,
    model: ModelConfig,
    as_of: datetime,
    fits: dict[str, str],
    failed: Mapping[str, str] = MappingProxyType({}),
    pooled: str = "",
) -> Version:
    """Make a version of the fit with the best validation score; of equal ones, of the one declared first.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    as_of : datetime
        The as-of of the run.
    fits : dict of str to str
        The keys of the run's fits by candidate; the baselines are among them, to be measured against, not to be chosen.
    failed : mapping of str to str, optional
        Why candidates of the run could not be fitted; the version's record keeps it.
    pooled : str
        Of a segment, the version of all rows that the same run selected.

    Raises
    ------
    TrainingError
        When no candidate was fitted.
    ObjectCorrupt
        When the record of a fit is not the one that its key names.
    """
    for name, why in failed.items():
        log.warning("%s was not fitted: %s", name, why)
    read_ahead(store, [f"{model.name}/fits/{key}.json" for key in fits.values()])
    read = {name: read_fit(store, model.name, key) for name, key in fits.items()}
    records = {name: verify_fit_key(store, record) for name, (record, _) in read.items()}
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
    if failed and not candidates:
        raise TrainingError(
            "no candidate was fitted",
            found="; ".join(f"{name}: {why}" for name, why in failed.items()),
            where=model.name,
            remedy="the training tasks' logs say more",
        )
    best = select_challenger(candidates)
    pinned = {record.key: digest for record, digest in read.values()}
    pinned |= {key: read_fit(store, model.name, key)[1] for key in best.members or () if key not in pinned}
    baselines = {name: records[name] for name in BASELINES}
    version = save_version(store, model, as_of, best, baselines, pinned, candidates, failed, pooled)
    log.info("challenger: %s, fitted by %s", version.id, best.candidate)
    return version

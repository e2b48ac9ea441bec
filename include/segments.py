"""One model per segment, trained, evaluated and recorded in the same way as the model of all rows.

The model of a segment has the declaration of the whole model, with its share of the gate's error. It reads the same partitions, but
only its own rows, and has its own ledger below the model's keys, so everything that reads a ledger can read that of a segment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from include.config.model import BASELINES, ModelConfig
from include.config.sections.rows.segments import declared_for
from include.data.segment_log import SegmentLog
from include.data.segments import SegmentList, segment_snapshot
from include.data.snapshots import Snapshot
from include.errors import ClusterUnavailable, ConfigError, DataError, EvaluationError, TrainingError
from include.registry.challenger_selection import choose_challenger
from include.registry.evaluator import evaluator
from include.registry.history.card_files import save_card
from include.registry.ledger import Ledger
from include.registry.versions import Version
from include.scoring.golden import keep_golden
from include.storage.entries import Entry
from include.storage.store import ObjectStore
from include.training.fit_candidate import fit_candidate

log = logging.getLogger(__name__)

UNTRAINED = "UNTRAINED"
"""The note of a run on a segment that can't be trained or evaluated."""


@dataclass(frozen=True)
class SegmentOutcome:
    """The outcome of a segment in a run.

    Attributes
    ----------
    model : str
        What the segment's model is kept as.
    outcome : str
        Of the gate, or `UNTRAINED`.
    version, champion, card : str or None
        The run's version, the version in force after it, and the digest of its model card.
    """

    model: str
    outcome: str
    reason: str
    version: str | None = None
    champion: str | None = None
    card: str | None = None


def retrain_segment(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    found: SegmentList,
    segment: str,
    *,
    pooled: str,
    actor: dict[str, Any],
    at: datetime,
    threads: int = 1,
    cluster: str | None = None,
    candidates: Collection[str] | None = None,
    dry: bool = False,
    written: Callable[[Entry], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> SegmentOutcome:
    """Train a segment, judge it, put the decision on record and settle the decisions after it; repeated, it finds what it did.

    A segment that can't be trained or judged fails no other: that is on record with the reason, and its rows stay with the
    version that answers for them.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        The declared one, of all rows.
    folder : Path
        The model's folder.
    snapshot : Snapshot
        Checked, of all rows.
    found : SegmentList
        The run's segments, among whom the gate's error is divided.
    segment : str
        The name of one.
    pooled : str
        The version of all rows that the same run selected. A segment's version must beat it on the segment's rows, or these
        have nothing from a model of their own.
    actor : dict
        Who or what trains it, for the record.
    at : datetime
        The instant that goes on record.
    threads : int
        How many threads training and measuring may use.
    cluster : str, optional
        Address of a Dask scheduler for the trials of searches.
    candidates : collection of str, optional
        Train these only.
    dry : bool
        Judge, and leave nothing on record.
    written : callable, optional
        Told each event that is written to the segment's ledger.
    clock : callable
        Tells seconds, for the time that predicting takes.

    Returns
    -------
    SegmentOutcome
    """
    declared = declared_for(model, segment, len(found.levels))
    own = segment_snapshot(store, model, snapshot, found, segment)
    ledger = Ledger(store, declared.name, written=written)
    measure = evaluator(store, folder, threads=threads, clock=clock)
    try:
        version = _train(store, declared, folder, own, pooled, threads, cluster, candidates)
        # Measured before it is registered, so that a segment that can't be evaluated leaves no version without a decision.
        measured = ledger.measure(declared, version.id, measure)
    except ClusterUnavailable:
        raise
    except (ConfigError, DataError, EvaluationError, TrainingError) as error:
        log.warning("%s is not trained: %s", declared.name, error.message)
        if not dry:
            SegmentLog(store, model.name).untrained(segment, snapshot.as_of, error.message, at=at)
        return SegmentOutcome(declared.name, UNTRAINED, error.message)
    judgement = measured.judge(declared.gate)
    card = save_card(store, declared, measured, judgement)
    if dry:
        return SegmentOutcome(declared.name, judgement.outcome.value, judgement.reason, version.id, card=card)
    keep_golden(store, declared, folder, version)
    ledger.register(version, actor=actor, at=at)
    decision = ledger.decide(declared, version.id, measure=measure, actor=actor, at=at)
    ledger.settle(measure=measure, actor=actor, at=at)
    champion = ledger.timeline(fresh=False).champion
    log.info("%s: %s %s. %s", declared.name, decision.outcome, decision.version, decision.reason)
    return SegmentOutcome(declared.name, decision.outcome.value, decision.reason, version.id, champion, card)


def _train(
    store: ObjectStore,
    declared: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    pooled: str,
    threads: int,
    cluster: str | None,
    chosen: Collection[str] | None,
) -> Version:
    """Fit the candidates and baselines, and give the best candidate its version; a candidate that can't be fitted stops no other."""
    fits: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in [*(one for one in declared.candidate_names if chosen is None or one in chosen), *BASELINES]:
        try:
            fits[name] = fit_candidate(store, declared, folder, snapshot, name, threads=threads, cluster=cluster).key
        except (ConfigError, TrainingError) as error:
            if name in BASELINES or isinstance(error, ClusterUnavailable):
                raise
            failed[name] = error.message
    return choose_challenger(store, declared, snapshot.as_of, fits, failed, pooled)

"""Reconsidering on real rows: newer ones, that neither model was fitted on, and no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain_run import BACKFILL, NOW, month, run_chain

from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.evidence import load_evidence
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_held
from include.storage.content import from_iso
from include.storage.local import LocalStore

LIVE = {**BACKFILL, "trigger": "manual"}


def test_a_held_version_is_measured_on_every_row_that_matured_since(
    model: ModelConfig, folder: Path, local_store: LocalStore
) -> None:
    ledger = Ledger(local_store, model.name)
    for number in range(4, 13):
        run_chain(local_store, model, folder, month(number), NOW, BACKFILL)
        held = [s for s in ledger.timeline().standings if s.decision.outcome == "HOLD"]
        if held:
            break
    version = find_held(ledger.timeline(), None)
    fits = sorted(local_store.list(f"{model.name}/fits/"))
    as_of = month(number + 3)

    def bring(window: Window) -> Snapshot:
        return ingest_window(local_store, model, folder, window, at=NOW, connections=None)

    measure = evaluator(local_store, folder, threads=1, as_of=as_of, ingest=bring)
    decision = ledger.reconsider(model, version, as_of=as_of, measure=measure, actor=LIVE, at=NOW)
    before: Any = load_evidence(local_store, model.name, held[-1].decision.evidence)
    after: Any = load_evidence(local_store, model.name, decision.evidence)
    assert after.holdout.rows > 2 * before.holdout.rows
    assert from_iso(after.holdout.until) == as_of - model.data.label_delay
    assert from_iso(after.holdout.after) >= from_iso(before.holdout.after)
    assert all(from_iso(subject.train_until) <= from_iso(after.holdout.after) for subject in after.subjects.values())
    assert sorted(local_store.list(f"{model.name}/fits/")) == fits, "nothing is trained"
    assert ledger.compare(decision).judge(model.gate).outcome == decision.outcome

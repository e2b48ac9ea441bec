"""One run of the small chain, up to its card: what was measured, what the gate says of it, and how it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chain_run import Run, declare, month

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.evaluation.evidence import Evidence, load_evidence
from include.registry.gate.judgement import Judgement, judge
from include.registry.versions import load_version
from include.storage.content import get_content
from include.storage.local import LocalStore
from include.training.fit_record import FitRecord, load_fit

TREE = "- {estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}"
LINE = "- {estimator: logistic_regression}"


class Judged(NamedTuple):
    store: LocalStore
    model: ModelConfig
    folder: Path
    fit: FitRecord
    snapshot: Snapshot
    evidence: Evidence
    judgement: Judgement
    card: str


def judged(root: Path, *, evaluation: str = "", gate: str = "", candidate: str = TREE) -> Judged:
    """Train one candidate on two months of parcels and judge it on the third.

    Parameters
    ----------
    evaluation, gate : str
        More of these sections, as YAML in one line each.
    """
    folder, store = root / "parcels", LocalStore(root / "store")
    more = f", {evaluation}" if evaluation else ""
    declare(
        folder,
        evaluation=f"{{metrics: [roc_auc, brier], resamples: 200{more}}}",
        guards=f"[]\n  {gate}" if gate else "[]",
    )
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace(LINE, "").replace(TREE, candidate))
    model = load_model(path)
    run, done = Run(model, folder, month(4)), {}
    for name in run.steps:
        done = run.do(name, store, done)
    evidence = load_evidence(store, "parcels", done["evaluate"]["evidence"])
    fit = load_fit(store, "parcels", load_version(store, "parcels", done["select"]).fit)
    return Judged(
        store,
        model,
        folder,
        fit,
        Snapshot.load(store, "parcels", done["check"]["snapshot"]),
        evidence,
        judge(model.gate, evidence, challenger_is_simple=False),
        get_content(store, "parcels/cards", ".html", done["gate"]["card"]).decode(),
    )

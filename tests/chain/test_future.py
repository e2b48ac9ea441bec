"""What lies after as-of, or was not known then, changes nothing that a run makes."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import Done, declare, month, objects, parcels, run_chain

from include.evaluation.evidence import Evidence
from include.registry.ledger import Ledger
from include.registry.version_states import Decision
from include.registry.versions import load_version
from include.storage.content import get_content
from include.storage.local import LocalStore


def corrupted(rows: pd.DataFrame, after: datetime, *, labels_after: datetime) -> pd.DataFrame:
    """Return rows with every value after one instant and every label after another one changed, some rows lost, some added."""
    rows, values, labels = rows.copy(), rows["sent_at"] > after, rows["sent_at"] > labels_after
    assert values.sum() > 100
    rows.loc[labels, "late"] = ~rows.loc[labels, "late"]
    rows.loc[values, "weight"] = -rows.loc[values, "weight"] * 1e6
    rows.loc[values, "distance"] = np.nan
    rows.loc[values, "carrier"] = "dog"
    rows.loc[values, "parcel"] += 10_000_000
    lost = np.flatnonzero(values)[::3]
    return rows.drop(index=rows.index[lost])


def run(tmp: Path, rows: pd.DataFrame, as_of: datetime, **replaced: str) -> tuple[LocalStore, Done]:
    model, store = declare(tmp / "parcels", rows, **replaced), LocalStore(tmp / "store")
    return store, run_chain(store, model, tmp / "parcels", as_of)


def made(store: LocalStore, done: Done) -> tuple[str, Evidence, Decision]:
    """Return the version's model file, the evidence and the decision."""
    evidence = Evidence.from_bytes(get_content(store, "parcels/evidence", ".json", done["evaluate"]["evidence"]))
    decision = Ledger(store, "parcels").timeline()[done["select"]].decision
    assert decision is not None
    return load_version(store, "parcels", done["select"]).model_file, evidence, decision


def test_rows_of_later_partitions_change_no_byte_of_a_run(tmp_path: Path):
    as_of, rows = month(8), parcels()
    store, done = run(tmp_path / "as it was", rows, as_of)
    other, same = run(tmp_path / "corrupted", corrupted(rows, as_of, labels_after=as_of), as_of)
    assert same == done
    assert made(other, same) == made(store, done)
    assert objects(other) == objects(store)


@pytest.mark.parametrize(
    ("as_of", "replaced"),
    [
        # The two worlds have other snapshots, so other draws of the bootstrap: an outcome at the margin could turn with those.
        (datetime.fromisoformat("2024-08-17T09:30:00Z"), {"primary": "{metric: roc_auc, confidence: 0.6}"}),
        (datetime.fromisoformat("2024-08-17T09:30:00Z"), {"label_delay": "9d", "partition": "day"}),
        (month(8), {"label_delay": "0s"}),
        (month(8), {"label_delay": "3d", "windows": "{train: 7w, holdout: 25d}"}),
    ],
    ids=["inside a partition", "by day, labels late", "labels at once", "windows across partitions"],
)
def test_what_was_not_known_at_as_of_changes_no_model_score_or_outcome(
    as_of: datetime, replaced: dict[str, str], tmp_path: Path
):
    rows = parcels()
    delay = {"9d": timedelta(days=9), "0s": timedelta(0), "3d": timedelta(days=3)}.get(
        replaced.get("label_delay", ""), timedelta(days=1)
    )
    before = made(*run(tmp_path / "as it was", rows, as_of, **replaced))
    after = made(*run(tmp_path / "corrupted", corrupted(rows, as_of, labels_after=as_of - delay), as_of, **replaced))
    assert after[0] == before[0]
    assert facts(after[1]) == facts(before[1])
    assert after[2].outcome == before[2].outcome
    assert after[2].primary["challenger"] == before[2].primary["challenger"]


def facts(evidence: Evidence) -> dict[str, Any]:
    """Return what evidence says of the models, without names of the snapshot and what is drawn from a seed made of those."""
    found = dataclasses.asdict(evidence)
    scores = {role: {metric: m["value"] for metric, m in of.items()} for role, of in found["scores"].items()}
    kept = ("as_of", "holdout", "comparable", "metrics", "curves", "units", "cost")
    gains = [(g["metric"], g["against"], g["slice"], g["support"], g["estimate"]) for g in found["gains"]]
    files = {role: subject["model_file"] for role, subject in found["subjects"].items()}
    return {**{name: found[name] for name in kept}, "scores": scores, "gains": gains, "files": files}


def test_a_row_that_was_known_does_change_the_run(tmp_path: Path):
    # Otherwise that nothing changes would say little.
    rows, as_of = parcels(), month(8)
    before = made(*run(tmp_path / "as it was", rows, as_of))
    # One label delay and an instant before as-of.
    known = as_of - timedelta(days=1, minutes=1)
    rows.loc[rows["sent_at"].searchsorted(known, side="right") - 1, "late"] ^= True
    after = made(*run(tmp_path / "corrected", rows, as_of))
    assert after[0] == before[0]
    assert after[1].scores != before[1].scores
    assert after[1].holdout.rows_digest == before[1].holdout.rows_digest

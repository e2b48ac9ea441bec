"""A canary release: a version is held until it has answered requests of its share of entities, and promoted by what became of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from chain_run import BACKFILL, NOW, month, run_chain
from sklearn.metrics import roc_auc_score

from include.data.ingestion.ingest import ingest_window
from include.data.quality.check import check
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import ConfigError
from include.evaluation.evidence import Evidence, load_evidence
from include.registry.evaluator import evaluator
from include.registry.gate.required_rows import rows_wanted
from include.registry.timeline import Decision
from include.serving.prediction_service import share_of
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]
SERVED = "serving: {request_log: {}, challenger: {version: held, traffic: 0.5, by: parcel}}\n"


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def held(world: World) -> str:
    """Return a version of October that nothing but its missing answers keeps from being promoted."""
    path = world.folder / "model.yaml"
    path.write_text(path.read_text().replace("  guards: [", "  canary: {max_loss: 0.15, min_rows: 100}\n  guards: ["))
    path.write_text(
        path.read_text()
        .replace("rule: better", "rule: not_worse")
        .replace(
            "{metric: roc_auc, confidence: 0.9}", "{metric: roc_auc, rule: not_worse, margin: 0.3, confidence: 0.9}"
        )
    )
    world.add(SERVED)
    run_chain(world.store, world.model, world.folder, month(10))
    return world.ledger.timeline().standings[-1].version


def evidence_of(world: World, decision: Decision | None) -> Evidence:
    assert decision is not None and decision.evidence is not None
    return load_evidence(world.store, "parcels", decision.evidence)


def reconsider(world: World, version: str, as_of: datetime) -> Decision:
    def bring(window: Window) -> Snapshot:
        found = ingest_window(world.store, world.model, world.folder, window, at=tomorrow(), connections=_Nowhere())
        report = check(world.store, world.model, world.folder, found)
        return Snapshot.load(world.store, "parcels", report.snapshot)

    measure = evaluator(world.store, world.folder, threads=1, as_of=as_of, ingest=bring)
    return world.ledger.reconsider(world.model, version, as_of=as_of, measure=measure, actor=BACKFILL, at=NOW)


def autumn(world: World) -> pd.DataFrame:
    """Return rows after the held version's training, as callers have them."""
    frame = pd.read_parquet(world.folder / "rows.parquet")
    return frame[frame["sent_at"] >= month(10)].drop(columns=["late"]).reset_index(drop=True)


def ask(start: Start, rows: pd.DataFrame) -> None:
    served = start()
    for row in as_json(rows):
        assert served.post([row]).status_code == 200
    served.logger.flush()


def test_a_version_is_held_until_it_has_answered_and_promoted_by_its_answers(
    start: Start, world: World, held: str
) -> None:
    decision = world.ledger.timeline()[held].decision
    assert (
        decision is not None and decision.outcome == "HOLD" and "it answered 0 labelled rows, of 100" in decision.reason
    )
    assert rows_wanted(world.model.gate, evidence_of(world, decision)) == 200

    rows = autumn(world)
    ask(start, rows)
    ask(start, rows[:50])  # asked again: counted once
    found = reconsider(world, held, tomorrow())
    assert found.outcome == "PROMOTE", found.reason
    canary = evidence_of(world, found).canary
    assert canary is not None
    # By hand: each row belongs to who answered it; its label is the source's.
    truth = pd.read_parquet(world.folder / "rows.parquet").set_index("parcel")["late"]
    good = rows[rows["weight"] >= 0].reset_index(drop=True)
    mine = np.array([share_of("parcels", parcel) < 0.5 for parcel in good["parcel"]])
    for role, version, own in (("challenger", held, mine), ("incumbent", world.champions[-2], ~mine)):
        answered = good[own].reset_index(drop=True)
        by_hand = roc_auc_score(truth.loc[answered["parcel"]], world.expected(version, answered))
        assert canary.rows[role] == len(answered) == canary.entities[role]
        assert canary.scores[role].value == pytest.approx(by_hand, abs=1e-9)


def test_requests_without_an_entity_are_the_incumbent_s_and_one_together(start: Start, world: World, held: str) -> None:
    path = world.folder / "model.yaml"
    path.write_text(path.read_text().replace("by: parcel", "by: carrier"))
    rows = autumn(world)[:150]
    rows.loc[::5, "carrier"] = None
    ask(start, rows)
    canary = evidence_of(world, reconsider(world, held, tomorrow())).canary
    assert canary is not None
    good = rows[rows["weight"] >= 0]
    known = good["carrier"].notna()
    mine = known & good["carrier"].map(lambda one: pd.notna(one) and share_of("parcels", one) < 0.5).astype(bool)
    assert canary.rows == {"challenger": mine.sum(), "incumbent": (~mine).sum()}
    assert canary.entities["incumbent"] == good.loc[known & ~mine, "carrier"].nunique() + 1
    assert canary.scores["incumbent"].value is not None


def test_answers_after_as_of_and_answers_of_others_count_for_nothing(start: Start, world: World, held: str) -> None:
    rows = autumn(world)
    ask(start, rows)
    before = reconsider(world, held, month(13))  # the labels are known, but the requests came later
    assert before.outcome == "HOLD"
    canary = evidence_of(world, before).canary
    assert canary is not None and set(canary.rows.values()) == {0}


def test_a_challenger_whose_answers_are_worse_is_rejected(start: Start, world: World, held: str) -> None:
    ask(start, autumn(world))
    turn_answers(world, held)
    found = reconsider(world, held, tomorrow())
    assert found.outcome == "REJECT" and found.reason.startswith("roc_auc of answered requests at most 0.15 worse")


def turn_answers(world: World, version: str) -> None:
    """Turn the challenger's answers round in the files of the log, as a server with swapped classes would have written them."""
    for path in (Path(world.store.root) / "parcels" / "requests").rglob("*.parquet"):
        table = pq.read_table(path)
        place = table.schema.get_field_index("prediction")
        turned = pc.if_else(
            pc.equal(table["version"], version), pc.subtract(1.0, table["prediction"]), table["prediction"]
        )
        sink = io.BytesIO()
        pq.write_table(table.set_column(place, "prediction", turned), sink)
        body = sink.getvalue()
        path.unlink()
        path.with_name(f"{path.name.rpartition('-')[0]}-{hashlib.sha256(body).hexdigest()}.parquet").write_bytes(body)


def test_without_an_incumbent_nothing_answers_and_nothing_is_asked(world: World, held: str) -> None:
    first = world.ledger.timeline().standings[0]
    assert first.decision is not None and first.decision.outcome == "PROMOTE"
    assert evidence_of(world, first.decision).canary is None


@pytest.mark.parametrize(
    ("serving", "why"),
    [
        ("", "expected `serving.request_log`"),
        ("serving: {request_log: {}, challenger: {version: held}}\n", "expected `serving.request_log`"),
        (
            "serving: {request_log: {hash: [parcel]}, challenger: {version: held, traffic: 0.1, by: carrier}}\n",
            "must keep `parcel`",
        ),
        (
            "serving: {request_log: {leave_out: [carrier]}, challenger: {version: held, traffic: 0.1, by: carrier}}\n",
            "must keep `carrier`",
        ),
    ],
)
def test_a_canary_that_could_never_show_anything_is_refused(world: World, serving: str, why: str) -> None:
    path = world.folder / "model.yaml"
    path.write_text(path.read_text().replace("  guards: [", "  canary: {max_loss: 0.1}\n  guards: [") + serving)
    with pytest.raises(ConfigError, match=why):
        _ = world.model


class _Nowhere:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError("no connection is needed")

"""What is kept for ever names no level that few people have: of a planted one no byte is left but in rows and model files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, declare, parcels, run_chain
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from watched import APRIL, Watched

from include.config.load import load_model
from include.config.sections.data import Data
from include.config.sections.features import Features
from include.data.rare_levels import OTHER_LEVELS, RareLevels
from include.evaluation.evidence import load_evidence
from include.evaluation.explanation.coefficients import linear_model
from include.evaluation.metrics.clustering import describe_clusters
from include.evaluation.scored_rows import Scored
from include.evaluation.unknown_classes import judged_rows, name_classes
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import WatchedColumn, learn_layout
from include.registry.ledger import Ledger
from include.retention.erase import erase
from include.retention.people import People
from include.storage.local import LocalStore
from include.training.fit_record import load_fit
from include.training.preprocessing.column_transformer import build_column_transformer
from tests.include.retention.test_erase import unpacked

LEVEL, WHO = "planted-level-4711", "customer 7"
REWRITTEN = {"partitions", "scores", "golden", "requests"}
"""What an erasure rewrites."""
LEARNED = {"models"}
"""What a model learned by: these name the levels that it tells apart."""


def planted() -> pd.DataFrame:
    """Return rows in which one customer alone has a level, in enough rows to be counted everywhere, and half of the label."""
    rows = parcels(rows=20_000)
    rows = rows[rows["sent_at"] < pd.Timestamp(APRIL + timedelta(days=10))].reset_index(drop=True)
    rows["customer"] = [f"customer {place % 40}" for place in range(len(rows))]
    rows["branch"] = np.array(["north", "south", "west"])[np.arange(len(rows)) % 3]
    mine = rows["customer"] == WHO
    rows.loc[mine, "branch"] = LEVEL
    rows.loc[mine, "late"] = True
    return rows


def world(root: Path, pool: str) -> Watched:
    folder = root / "parcels"
    declare(
        folder,
        planted(),
        partition="day",
        target=f"late\n  {pool}" if pool else "late",
        categorical="{columns: [carrier, branch]}",
        evaluation="{metrics: [roc_auc, brier], slices: [carrier, branch, {cross: [carrier, branch]}], resamples: 200}",
    )
    text = (folder / "model.yaml").read_text()
    text = text.replace("end: 2025-01-01}", 'end: 2025-01-01, score: "@daily", monitor: "@daily"}')
    (folder / "model.yaml").write_text(text)
    model, store = load_model(folder / "model.yaml"), LocalStore(root / "store")
    run_chain(store, model, folder, APRIL)
    made = Watched(folder, store, model)
    for number in range(1, 8):
        made.score(number)
    for number in range(1, 6):
        made.monitor(number)
    return made


def naming(store: Any) -> dict[str, list[str]]:
    """Return the objects with the level in any byte, unpacked, by kind."""
    found: dict[str, list[str]] = {}
    for key in store.list(""):
        bodies: Iterator[bytes] | list[bytes] = unpacked(store.get(key))
        if key.endswith(".parquet"):
            bodies = [str(pq.read_table(pa.BufferReader(store.get(key))).to_pydict()).encode()]
        if any(LEVEL.encode() in body for body in bodies):
            found.setdefault(key.split("/")[1], []).append(key)
    return found


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return world(tmp_path_factory.mktemp("pooled"), "pool_levels: {below: 5, by: customer}")


@pytest.mark.timeout(300)
def test_without_the_declaration_a_level_of_one_person_is_named_in_all_of_these(tmp_path: Path) -> None:
    found = naming(world(tmp_path, "").store)
    assert found.keys() >= {"evidence", "cards", "alone", "checks", "domains", "watch", "partitions", "models"}
    assert {key.split("/")[2] for key in found["watch"]} >= {"kept", "details"}


@pytest.mark.timeout(300)
def test_a_level_of_one_person_is_in_no_byte_but_of_rows_and_model_files(pooled: Watched) -> None:
    found = naming(pooled.store)
    assert found.keys() <= REWRITTEN | LEARNED and "partitions" in found
    ledger = Ledger(pooled.store, "parcels")
    (version,) = (one.version for one in ledger.timeline().standings)
    record = ledger.version(version)
    fit = load_fit(pooled.store, "parcels", record.fit)
    assert "customer" in str(pooled.model.data) and fit.columns == (
        "weight",
        "distance",
        "evening",
        "carrier",
        "branch",
    )
    (look,) = ledger.timeline()[version].looks
    evidence = load_evidence(pooled.store, "parcels", look.evidence)
    assert set(evidence.levels("branch")) == {OTHER_LEVELS, "north", "south", "west"}
    assert set(evidence.levels("carrier")) == {"ant", "bee", "cat"}
    assert f"ant, {LEVEL}" not in evidence.levels("carrier x branch")
    card = "".join(pooled.store.get(key).decode() for key in pooled.store.list("parcels/cards/"))
    assert OTHER_LEVELS in card


@pytest.mark.timeout(300)
def test_an_erasure_leaves_the_level_in_model_files_alone(pooled: Watched) -> None:
    told = erase(pooled.store, pooled.model, People(("customer",), frozenset({(WHO,)})), at=NOW, remove=True)
    assert naming(pooled.store).keys() <= LEARNED and told.versions


def test_people_are_counted_and_not_rows() -> None:
    rows = pd.DataFrame({"who": ["a"] * 9 + ["b", "c"], "level": [0] * 9 + [1, 1]})
    by = {"source": {"kind": "files", "path": "x.csv", "format": "csv", "columns": {"who": {"type": "string"}}}}
    data = Data.model_validate({**by, "target": "y", "pool_levels": {"below": 2, "by": "who"}})
    for given in (rows, pa.Table.from_pandas(rows)):
        assert RareLevels.of(data, given).among(rows["level"].to_numpy(), 3).tolist() == [True, False, False]
    alone = Data.model_validate({**by, "target": "y", "pool_levels": 3})
    assert RareLevels.of(alone, rows).among(rows["level"].to_numpy(), 2).tolist() == [False, True]
    assert not RareLevels.of(Data.model_validate({**by, "target": "y"}), rows).among(rows["level"].to_numpy(), 2).any()


def test_rows_without_a_person_are_one_persons() -> None:
    rows = pd.DataFrame({"who": [None, None, None, "b"], "level": [0, 0, 0, 0]})
    codes = np.zeros(4, dtype=int)
    assert RareLevels(3, pd.factorize(rows["who"])[0]).among(codes, 1).tolist() == [True]
    assert RareLevels(2, pd.factorize(rows["who"])[0]).among(codes, 1).tolist() == [False]


FEW = RareLevels(3)
"""Each row is a person."""


def test_a_coefficient_does_not_name_a_rare_level() -> None:
    features = Features.model_validate({"categorical": {"columns": ["branch"]}, "numeric": {"columns": ["x"]}})
    frame = pd.DataFrame({"branch": ["north"] * 50 + ["south"] * 48 + [LEVEL] * 2, "x": np.arange(100.0)})
    prepare = build_column_transformer(features, missing=False, native=False, sparse=False)
    pipeline = Pipeline([("prepare", prepare), ("model", Ridge())]).fit(frame, frame["x"] + (frame["branch"] == LEVEL))
    named, hidden = (linear_model(pipeline, frame, rare, classes=0, seed=0) for rare in (RareLevels(None), FEW))
    assert named is not None and f"branch={LEVEL}" in {one.column for one in named.largest}
    assert hidden is not None
    assert {one.column for one in hidden.largest} == {"branch=north", "branch=south", "x", f"branch={OTHER_LEVELS}"}


def test_a_cluster_of_few_people_is_counted_and_not_described() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 99.5], "branch": ["north", "north", "north", LEVEL]})
    answered = Scored(np.array([0, 0, 0, 1]), None, slice_terms={"sampled": np.ones(4)})
    whole, many, few = describe_clusters(frame, ("x", "branch"), answered, FEW)
    assert (few.rows, few.means, few.modes) == (1, {"x": None}, {"branch": None}) or few.means == {}
    assert many.modes == {"branch": "north (100%)"} and whole.modes == {"branch": "north (75%)"}
    assert LEVEL not in str((whole, many, few)) and "99.5" not in str(few)


def test_a_class_that_training_did_not_have_is_named_if_enough_people_have_it() -> None:
    column = pd.Series(["a", "b", "c", "new", "new", "new", LEVEL])
    scored = Scored(np.full((7, 3), 1 / 3), None)
    judged = judged_rows(column, scored, ("a", "b", "c"), FEW)
    assert judged.unknown == {"new": 3, OTHER_LEVELS: 1}
    assert judged.classes is not None
    assert name_classes(judged.classes, ("a", "b", "c"), judged.unknown) == ("a", "b", "c", "new", OTHER_LEVELS)


def test_a_layout_lists_no_rare_level_and_counts_its_rows() -> None:
    rows = pa.table({"branch": ["north"] * 5 + [LEVEL] * 2})
    data = Data.model_validate({"source": {"kind": "python", "reader": "source:read"}, "target": "y", "pool_levels": 3})
    layout = learn_layout([rows], (WatchedColumn("branch", "input", "level"),), data=data)
    assert layout["branch"].levels == ("north",) and not layout["branch"].complete
    assert sketch([rows], layout).columns["branch"].known == 7

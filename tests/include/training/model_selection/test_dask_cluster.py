"""A search whose trials went to a Dask cluster found what it would have found alone; a real cluster of two processes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.errors import ConfigError, TrainingError
from include.storage.local import LocalStore
from include.training.fit_candidate import fit_candidate
from include.training.model_selection.dask_cluster import open_cluster
from tests.include.training.conftest import declare, frame_of, snapshot_of


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster.scheduler_address


def where(number: int, rows: list[int]) -> tuple[int, int]:
    return os.getpid(), number * sum(rows)


def test_calls_are_made_by_the_workers_and_answered_in_order(address: str) -> None:
    with open_cluster(address) as cluster:
        assert cluster.size == 2
        pids, answers = zip(*cluster.map(where, list(range(8)), [1, 2, 3]), strict=True)
    assert list(answers) == [6 * number for number in range(8)]
    assert os.getpid() not in pids


@pytest.mark.parametrize("method", ["random", "halving", "grid"])
def test_a_search_finds_the_same_wherever_its_trials_run(
    method: str, address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    search = {"method": method, "trials": 6, "space": {"max_depth": [1, 2, 3], "min_samples_leaf": [5, 50]}}
    tree = {"candidates": [{"estimator": "decision_tree", "search": search}], "cv": {"folds": 2}}
    model, found = declare(training=tree), []
    for name, cluster in (("alone", None), ("together", address)):
        store = LocalStore(tmp_path / name)
        snapshot = snapshot_of(store, model, frame_of())
        with caplog.at_level(logging.INFO):
            found.append(fit_candidate(store, model, tmp_path, snapshot, "decision_tree", cluster=cluster))
        assert ("connected to a Dask cluster, 2 calls at a time" in caplog.text) == (cluster is not None)
    alone, together = found
    assert alone.trials and together.trials
    assert [(t.params, t.cv, t.share) for t in alone.trials] == [(t.params, t.cv, t.share) for t in together.trials]
    assert (alone.key, alone.model_file) == (together.key, together.model_file)


def test_a_cluster_that_does_not_answer_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    monkeypatch.setattr("include.training.model_selection.dask_cluster._PATIENCE", 1)
    with pytest.raises(TrainingError, match=r"tcp://127.0.0.1:9"), open_cluster("tcp://127.0.0.1:9"):
        pass


def test_without_dask_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="install the extra `dask`"), open_cluster("tcp://127.0.0.1:9"):
        pass

"""Estimators fitted in parts beside the same fitted in memory; a real cluster of two processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from include.training.declared_recipes import recipe_of
from include.training.fit_pipeline import fit_model, fit_with_threshold
from include.training.out_of_core.parted_rows import open_parted_rows
from include.training.persistence.model_file import predict_scores
from include.training.training_rows import read_training_rows
from tests.chain_run import parcels
from tests.include.training.out_of_core.conftest import Shelf, shelve, started_cluster


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelve(tmp_path_factory.mktemp("plain"), parcels(rows=6000))


def test_one_worker_grows_the_trees_of_one_process(shelf: Shelf) -> None:
    recipe = recipe_of(shelf.model, "lightgbm")
    rows = read_training_rows(*shelf.given, recipe)
    alone = fit_model(recipe, recipe.settings, rows)
    with started_cluster(1) as cluster, open_parted_rows(*shelf.given, recipe, cluster.scheduler_address) as parted:
        together = fit_model(recipe, recipe.settings, parted)
    np.testing.assert_allclose(predict_scores(together, rows.frame), predict_scores(alone, rows.frame), atol=1e-9)


def test_two_workers_grow_trees_as_good_and_the_same_each_time(shelf: Shelf, address: str) -> None:
    recipe = recipe_of(shelf.model, "lightgbm")
    rows = read_training_rows(*shelf.given, recipe)
    alone = predict_scores(fit_model(recipe, recipe.settings, rows), rows.frame)
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        first, second = (fit_model(recipe, recipe.settings, parted) for _ in range(2))
    together = predict_scores(first, rows.frame)
    assert bytes(first["estimator"].native_) == bytes(second["estimator"].native_)
    assert abs(roc_auc_score(rows.target, together) - roc_auc_score(rows.target, alone)) < 0.01
    assert np.corrcoef(together, alone)[0, 1] > 0.99


def test_two_fits_at_once_grow_their_trees_one_after_the_other(shelf: Shelf) -> None:
    recipe, found = recipe_of(shelf.model, "lightgbm"), []

    def fit(address: str) -> None:
        with open_parted_rows(*shelf.given, recipe, address) as parted:
            ready.wait(60)
            found.append(bytes(fit_model(recipe, recipe.settings, parted)["estimator"].native_))

    ready = threading.Barrier(2)
    with started_cluster(
        2, threads_per_worker=2
    ) as cluster:  # a thread for each, so that nothing else keeps them apart
        fits = [threading.Thread(target=fit, args=(cluster.scheduler_address,), daemon=True) for _ in range(2)]
        for one in fits:
            one.start()
        for one in fits:
            one.join(120)
        changes = [(str(key), start, finish) for key, start, finish, *_ in cluster.scheduler.transition_log]
    at_work: set[str] = set()
    most, begun = 0, 0
    for key, start, finish in changes:
        if key.startswith("_grow"):
            at_work -= {key} if start == "processing" else set()
            at_work |= {key} if finish == "processing" else set()
            begun += finish == "processing"
            most = max(most, len(at_work))
    assert (begun, most) == (4, 2), "two workers for each fit, and never those of both"
    assert len(found) == 2 and found[0] == found[1]


def test_a_logistic_regression_is_at_the_optimum_that_scikit_learn_comes_near(shelf: Shelf, address: str) -> None:
    recipe = recipe_of(shelf.model, "logistic_regression")
    rows = read_training_rows(*shelf.given, recipe)
    alone = fit_model(recipe, recipe.settings | {"solver": "newton-cholesky", "tol": 1e-12}, rows)
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        together = fit_model(recipe, recipe.settings, parted)
    np.testing.assert_allclose(together["estimator"].coef_, alone["estimator"].coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(together["estimator"].intercept_, alone["estimator"].intercept_, rtol=1e-6)


def test_a_ridge_regression_with_weights_is_scikit_learns(tmp_path: Path, address: str) -> None:
    frame = parcels(rows=2000)
    frame["counts"] = np.random.default_rng(1).uniform(0, 2, len(frame))
    frame.loc[frame["sent_at"] < "2024-09-01", "counts"] = 0.0  # a whole partition that counts for nothing
    frame["late"] = frame["weight"] * 2 + frame["distance"].fillna(0) / 100
    shelf = shelve(
        tmp_path,
        frame,
        candidates="[{estimator: ridge, params: {alpha: 2.0}}]",
        training="  engine: dask\n  weights: {column: counts, half_life: 60d}\n",
        task="regression",
        primary="{metric: rmse}",
        evaluation="{metrics: [rmse]}",
        guards="[]",
    )
    recipe = recipe_of(shelf.model, "ridge")
    rows = read_training_rows(*shelf.given, recipe)
    alone = fit_model(recipe, recipe.settings, rows)
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        together = fit_model(recipe, recipe.settings, parted)
        trivial = fit_model(recipe_of(shelf.model, "trivial"), {"strategy": "mean"}, parted)
    np.testing.assert_allclose(together["estimator"].coef_, alone["estimator"].coef_, rtol=1e-9)
    np.testing.assert_allclose(together["estimator"].intercept_, alone["estimator"].intercept_, rtol=1e-9)
    assert predict_scores(trivial, rows.frame)[0] == pytest.approx(rows.target.mean())


def test_calibration_threshold_and_class_weights_learn_from_scores_of_held_out_partitions(
    tmp_path: Path, address: str
) -> None:
    candidates = "[{estimator: logistic_regression, calibration: isotonic}]"
    training = "  engine: dask\n  imbalance: class_weight\n  threshold: {objective: f1}\n"
    shelf = shelve(tmp_path, parcels(rows=3000), candidates=candidates, training=training)
    recipe = recipe_of(shelf.model, "logistic_regression")
    rows = read_training_rows(*shelf.given, recipe)
    alone, cut = fit_with_threshold(recipe, recipe.settings | {"tol": 1e-10}, rows)
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        together, own = fit_with_threshold(recipe, recipe.settings, parted)
    assert own == pytest.approx(cut, abs=0.01)
    assert np.abs(predict_scores(together, rows.frame) - predict_scores(alone, rows.frame)).mean() < 0.005


@pytest.mark.parametrize("name", ["lightgbm", "logistic_regression"])
def test_a_worker_that_is_killed_in_mid_fit_does_not_end_the_fit(name: str, tmp_path: Path) -> None:
    candidates = "[{estimator: lightgbm, params: {n_estimators: 1500}}, {estimator: logistic_regression}]"
    shelf = shelve(tmp_path, parcels(rows=6000), candidates=candidates)
    recipe = recipe_of(shelf.model, name)
    rows = read_training_rows(*shelf.given, recipe)
    with started_cluster(2) as cluster, open_parted_rows(*shelf.given, recipe, cluster.scheduler_address) as parted:
        client, killed = parted.workers.client, []

        def kill() -> None:
            busy = "_grow" if name == "lightgbm" else "_of_part"
            while not killed:
                at_work = [w for w, calls in client.processing().items() if any(busy in str(call) for call in calls)]
                if at_work:
                    time.sleep(0.5 if name == "lightgbm" else 0)
                    (pid,) = client.run(os_pid, workers=at_work[:1], wait=True).values()
                    end_process(pid)
                    killed.append(pid)
                time.sleep(0.01)

        watcher = threading.Thread(target=kill, daemon=True)
        watcher.start()
        fitted = fit_model(recipe, recipe.settings, parted)
        watcher.join(30)
    assert killed
    assert roc_auc_score(rows.target, predict_scores(fitted, rows.frame)) > 0.55


def os_pid() -> int:
    import os

    return os.getpid()


def end_process(pid: int) -> None:
    import os
    import signal

    os.kill(pid, signal.SIGKILL)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.cluster import HDBSCAN
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from include.errors import ConfigError
from include.storage.content import get_content
from include.storage.local import LocalStore
from include.training.declared_recipes import STABILITY_REFITS, recipe_of
from include.training.estimators.clusterers import DensityClusterer
from include.training.estimators.construction import find_estimator
from include.training.fit_candidate import fit_candidate
from include.training.fit_record import FitRecord
from include.training.persistence.model_file import load, predict_scores
from tests.include.training.conftest import declare, fit_at_once, frame_of, snapshot_of

SPACE = load_iris().data


def test_hdbscan_gives_fitted_rows_their_own_clusters_back() -> None:
    whole = HDBSCAN(min_cluster_size=10, copy=True).fit(SPACE).labels_
    model = DensityClusterer(min_cluster_size=10, copy=True).fit(SPACE)
    assert len(set(whole)) >= 2
    assert (model.predict(SPACE)[whole >= 0] == whole[whole >= 0]).all()


def test_hdbscan_puts_a_new_row_where_its_neighbours_are_as_dense_and_nowhere_else() -> None:
    even, odd = SPACE[::2], SPACE[1::2]
    model = DensityClusterer(min_cluster_size=10, copy=True).fit(even)
    species = load_iris().target[1::2]
    found = model.predict(odd)
    assert (found[species == 0] >= 0).mean() > 0.7
    assert len(set(found[(species == 0) & (found >= 0)])) == 1
    assert (model.predict(odd + 50) == -1).all()
    member = model.members_[0]
    off = np.zeros_like(member)
    off[0] = model.reach_[0]
    # Beyond its reach a member takes no row in.
    assert model.predict(np.array([member + 0.99 * off]))[0] >= 0
    alone = DensityClusterer(min_cluster_size=10, copy=True).fit(SPACE[:50] / 1000)
    assert (alone.predict(SPACE[50:]) == -1).all()


def test_k_means_is_that_of_scikit_learn_by_hand() -> None:
    from sklearn.cluster import KMeans

    features = {"numeric": {"columns": ["size", "weight"], "scale": "standard"}}
    model = declare(
        "clustering",
        features=features,
        training={"candidates": [{"estimator": "k_means", "params": {"n_clusters": 4}}]},
    )
    frame = frame_of("clustering")
    known = frame[["size", "weight"]].fillna(frame[["size", "weight"]].median())
    by_hand = KMeans(4, n_init=10, random_state=0).fit((known - known.mean()) / known.std(ddof=0))
    found = predict_scores(fit_at_once(model, frame), frame)
    assert adjusted_rand_score(by_hand.labels_, found) == 1


def test_a_search_finds_how_many_clusters_there_are(store: LocalStore, tmp_path: Path) -> None:
    search = {"method": "grid", "trials": 5, "space": {"n_clusters": [2, 3, 4, 5, 6]}}
    features = {"numeric": {"columns": ["size", "weight"], "scale": "standard"}}
    training = {"candidates": [{"estimator": "k_means", "search": search}], "cv": {"kind": "k_fold", "folds": 2}}
    model = declare("clustering", features=features, training=training)
    frame = frame_of("clustering").assign(size=lambda rows: rows["size"].fillna(0))
    record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "k_means")
    assert record.params["n_clusters"] == 4  # two lumps in each of two columns
    assert record.cv is not None and record.cv.metric == "silhouette"
    assert [trial.cv.mean for trial in record.trials or ()] == sorted(
        (trial.cv.mean for trial in record.trials or ()), key=lambda mean: mean == record.cv.mean and mean
    ) or max(trial.cv.mean for trial in record.trials or ()) == record.cv.mean


@pytest.mark.parametrize("method", ["grid", "random", "bayesian"])
def test_settings_that_find_no_clusters_end_no_search(method: str, store: LocalStore, tmp_path: Path) -> None:
    search = {"method": method, "trials": 8, "space": {"min_cluster_size": [190, 5, 180, 170]}}
    training = {
        "candidates": [{"estimator": "hdbscan", "params": {"min_cluster_size": 150}, "search": search}],
        "cv": {"kind": "k_fold", "folds": 2},
    }
    model = declare("clustering", features={"numeric": {"columns": ["size", "weight"]}}, training=training)
    snapshot = snapshot_of(store, model, frame_of("clustering"))
    record = fit_candidate(store, model, tmp_path, snapshot, "hdbscan")
    assert record.params["min_cluster_size"] == 5
    failed = [trial for trial in record.trials or () if trial.cv is None]
    assert failed and all("undefined on every fold" in (trial.failed or "") for trial in failed)
    assert FitRecord.from_json(record.to_json()) == record


def test_the_simple_baseline_chooses_its_clusters_and_the_trivial_one_draws_lots(
    store: LocalStore, tmp_path: Path
) -> None:
    model, frame = declare("clustering", training={"candidates": [{"estimator": "hdbscan"}]}), frame_of("clustering")
    snapshot = snapshot_of(store, model, frame)
    simple, trivial = (fit_candidate(store, model, tmp_path, snapshot, name) for name in ("simple", "trivial"))
    assert simple.estimator == "k_means" and 2 <= simple.params["n_clusters"] <= 8
    pipeline = load(get_content(store, "toy/models", ".skops", trivial.model_file), trivial.model_file)
    lots = predict_scores(pipeline, frame)
    assert set(lots) == {0, 1} and 0.4 < lots.mean() < 0.6


@pytest.mark.parametrize("wanted", [True, False])
def test_refits_to_resamples_are_kept_when_stability_is_wanted(wanted: bool, store: LocalStore, tmp_path: Path) -> None:
    evaluation = {"metrics": ["stability"] if wanted else []}
    model = declare("clustering", training={"candidates": [{"estimator": "k_means"}]}, evaluation=evaluation)
    record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame_of("clustering")), "k_means")
    assert len(set(record.refits or ())) == (STABILITY_REFITS if wanted else 0)
    assert record.model_file not in (record.refits or ())


def test_stability_in_validation_prefers_the_number_of_clusters_that_resamples_agree_on(
    store: LocalStore, tmp_path: Path
) -> None:
    candidates = [{"name": f"k{k}", "estimator": "k_means", "params": {"n_clusters": k, "n_init": 1}} for k in (4, 11)]
    features = {"numeric": {"columns": ["size", "weight"], "scale": "standard"}}
    parts = {"training": {"candidates": candidates}, "gate": {"primary": {"metric": "stability"}}, "features": features}
    model, frame = declare("clustering", **parts), frame_of("clustering")
    snapshot = snapshot_of(store, model, frame)
    right, wrong = (fit_candidate(store, model, tmp_path, snapshot, name).cv for name in ("k4", "k11"))
    assert right is not None and wrong is not None
    assert right.mean > wrong.mean + 0.2


def test_a_model_file_keeps_no_row_of_k_means() -> None:
    model = declare("clustering", training={"candidates": [{"estimator": "k_means"}]})
    assert not hasattr(fit_at_once(model, frame_of("clustering"))[-1], "labels_")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"training": {"candidates": [{"estimator": "ridge"}]}}, "not a estimator for clustering|k_means"),
        (
            {
                "training": {
                    "candidates": [*({"name": n, "estimator": "k_means"} for n in "ab"), {"estimator": "voting"}]
                }
            },
            "`voting` is not",
        ),
        ({"features": {"categorical": {"columns": ["colour"], "encode": "target"}}}, "learns from a target"),
        (
            {"features": {"numeric": {"columns": ["size"]}, "select": {"method": "k_best", "k": 1}}},
            "`select: k_best` learns from a target",
        ),
        ({"gate": {"primary": {"metric": "rmse"}}}, "not a metric for clustering"),
    ],
)
def test_what_has_no_meaning_without_a_target_is_refused(parts: dict, expected: str) -> None:
    base = {"training": {"candidates": [{"estimator": "k_means"}]}}
    with pytest.raises(ValidationError, match=expected):
        declare("clustering", **base | parts)


def test_a_target_is_declared_for_every_task_but_clustering() -> None:
    data = declare().data.model_dump(mode="json")
    with pytest.raises(ValidationError, match="every task but clustering"):
        declare("clustering", training={"candidates": [{"estimator": "k_means"}]}, data=data)
    with pytest.raises(ValidationError, match="every task but clustering"):
        declare(data=data | {"target": None})


def test_a_class_that_can_not_place_new_rows_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("RATCHET_PERMITTED_TYPES", "sklearn.cluster._dbscan.DBSCAN")
    with pytest.raises(ConfigError, match="which cluster a new row is in"):
        find_estimator("sklearn.cluster.DBSCAN", "clustering")
    monkeypatch.setenv("RATCHET_PERMITTED_TYPES", "sklearn.cluster._birch.Birch")
    assert find_estimator("sklearn.cluster.Birch", "clustering").classes


def test_recipes_of_clustering_read_no_target(tmp_path: Path) -> None:
    model = declare("clustering", training={"candidates": [{"estimator": "k_means"}]})
    assert "target" not in recipe_of(model, "k_means").columns

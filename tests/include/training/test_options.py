"""Every option does something: each test fails if its option did nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.preprocessing import TargetEncoder

from include.config.sections.features import Features
from include.config.sections.training import Imbalance, RowWeights, Threshold
from include.errors import ConfigError, ModelFileRefused, TrainingError
from include.training.model_selection.decision_threshold import choose_threshold
from include.training.persistence.model_file import dump, load, predict_scores
from include.training.preprocessing import category_interactions
from include.training.preprocessing.category_interactions import CategoryInteraction
from include.training.preprocessing.column_transformer import build_column_transformer
from include.training.preprocessing.datetime_features import DatetimeFeatures
from include.training.preprocessing.row_filter import rows_to_learn_from
from include.training.sample_weight import declared_weights, resample, reweighing
from tests.include.training.conftest import declare, fit_at_once, frame_of, rows_of
from tests.opcodes import opcodes_in

NUMBERS = ["size", "weight"]


def prepared(frame: pd.DataFrame, takes: dict | None = None, y=None, later=None, **features) -> np.ndarray:
    kinds = {"missing": False, "native": False, "sparse": False} | (takes or {})
    transformer = build_column_transformer(Features(**features), **kinds).fit(frame, y)
    return np.asarray(transformer.transform(frame if later is None else later))


def trained(features: dict | None = None, task: str = "classification", frame=None, **training):
    training = {"candidates": [{"estimator": "logistic_regression" if task != "regression" else "ridge"}]} | training
    parts = {"training": training} | ({"features": features} if features else {})
    if task == "many":
        parts["gate"] = {"primary": {"metric": "log_loss"}}
    model = declare("regression" if task == "regression" else "classification", **parts)
    return fit_at_once(model, frame_of(task) if frame is None else frame)


def steps(pipeline) -> int:
    """Return how many columns the estimator is given."""
    return pipeline[-1].n_features_in_


# Rows and columns with gaps and outliers


def test_rows_with_a_gap_or_an_outlier_are_not_learned_from_and_are_scored_all_the_same():
    frame = frame_of().assign(far=np.where(np.arange(400) < 4, 1e6, np.arange(400) / 400))
    gaps = frame["size"].isna() | frame["colour"].isna()
    far = {"columns": ["far"], "outliers": {"method": "iqr", "action": "drop_row"}}
    features = {
        "numeric": [{"columns": ["size"], "impute": "drop_row"}, far],
        "categorical": {"columns": ["colour"], "impute": "drop_row"},
    }
    kept = rows_to_learn_from(Features(**features), frame)
    assert kept.tolist() == (~gaps & (frame["far"] < 2)).tolist()
    by_hand = trained(
        {"numeric": {"columns": ["size", "far"]}, "categorical": {"columns": ["colour"]}}, frame=frame[kept]
    )
    pipeline = trained(features, frame=frame)
    np.testing.assert_allclose(pipeline[-1].coef_, by_hand[-1].coef_, rtol=1e-6)
    assert np.isfinite(predict_scores(pipeline, frame)).all()


def test_nothing_left_to_learn_from_is_said():
    with pytest.raises(TrainingError, match="no row is left"):
        trained({"numeric": {"columns": ["size"], "impute": "drop_row"}}, frame=frame_of().assign(size=np.nan))


def test_columns_that_are_mostly_missing_are_left_out():
    frame = frame_of().assign(size=np.nan)
    assert prepared(frame, numeric={"columns": NUMBERS}).shape[1] == 2
    assert prepared(frame, numeric={"columns": NUMBERS, "max_missing": 0.5}).shape[1] == 1
    levels = pd.DataFrame({"a": [None, None, "x"], "b": ["x", "y", "x"]})
    assert prepared(levels, categorical={"columns": ["a", "b"], "max_missing": 0.5}).shape[1] == 2


# Numbers


def test_skew_is_drawn_in():
    frame = pd.DataFrame({"x": [0.0, np.e - 1, -(np.e - 1)]})
    assert prepared(frame, numeric={"columns": ["x"], "skew": "log"})[:, 0].tolist() == pytest.approx([0, 1, -1])
    tail = pd.DataFrame({"x": np.exp(np.random.default_rng(0).normal(size=500))})
    power = prepared(tail, numeric={"columns": ["x"], "skew": "power"})[:, 0]
    assert abs(pd.Series(power).skew()) < 0.2 < tail["x"].skew()


def test_products_and_powers_are_added():
    frame = pd.DataFrame({"a": [2.0, 3.0], "b": [5.0, 7.0]})
    all_of_two = prepared(frame, numeric={"columns": ["a", "b"], "degree": 2})
    assert all_of_two[0].tolist() == [2, 5, 4, 10, 25]
    products = prepared(frame, numeric={"columns": ["a", "b"], "degree": 2, "products_only": True})
    assert products[0].tolist() == [2, 5, 10]


def test_groups_of_one_kind_are_prepared_each_in_its_way():
    groups = [{"columns": ["size"], "scale": "min_max"}, {"columns": ["weight"], "impute": "mean"}]
    out = prepared(frame_of(), numeric=groups)
    assert (out[:, 0].min(), out[:, 0].max()) == (0, 1)
    assert np.ptp(out[:, 1]) > 10


# Levels


def test_target_means_are_learned_from_other_rows_and_unknown_levels_get_the_mean():
    frame = pd.DataFrame({"c": [f"level {i}" for i in range(100)]})
    y = np.tile([0, 1], 50)
    features = Features(categorical={"columns": ["c"], "encode": "target"})
    transformer = build_column_transformer(features, missing=False, native=False, sparse=False)
    fitted = transformer.fit_transform(frame, y)[:, 0]
    # Each level has one row: its own target is what a mean over all rows would have given away.
    assert np.ptp(fitted) < 0.1
    assert transformer.transform(pd.DataFrame({"c": ["never seen"]}))[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("gaps", [True, False])
def test_unknown_levels_get_the_prior_beside_gaps_that_nobody_imputes_as_scikit_learn_has_it(gaps: bool):
    levels = ["a", "b", None] if gaps else ["a", "b"]
    frame = pd.DataFrame({"c": pd.Categorical(np.resize(levels, 300))})
    y = np.where(frame["c"].isna(), 1, np.arange(300) % 5 == 0).astype(int)
    later = pd.DataFrame({"c": ["never seen", None, "a", "b"]})
    features = Features(categorical={"columns": ["c"], "encode": "target", "impute": "none"})
    transformer = build_column_transformer(features, missing=False, native=False, sparse=False)
    theirs = TargetEncoder(target_type="binary", random_state=0)
    wanted = theirs.fit_transform(frame.astype(object), y)
    assert transformer.fit_transform(frame, y).tolist() == wanted.tolist()
    found = transformer.transform(later)
    assert found.tolist() == theirs.transform(later.astype(object)).tolist()
    assert found[0, 0] == y.mean()


@pytest.mark.parametrize("task", ["classification", "many", "regression"])
def test_target_encoding_serves_every_task(task: str):
    pipeline = trained({"categorical": {"columns": ["colour"], "encode": "target"}}, task)
    assert steps(pipeline) == (3 if task == "many" else 1)


def test_crossed_levels_say_what_neither_says_alone():
    frame = frame_of().assign(side=np.where(np.arange(400) % 2, "left", "right"))
    frame["target"] = (frame["colour"] == "red") ^ (frame["side"] == "left")
    scores = {}
    for cross in (False, True):
        groups = [{"columns": ["colour", "side"]}, *([{"columns": ["colour", "side"], "cross": True}] if cross else [])]
        scores[cross] = predict_scores(trained({"categorical": groups}, frame=frame), frame)
    known = frame["colour"].notna()
    assert (
        np.mean((scores[True] > 0.5) == frame["target"])
        > 0.95
        > np.mean((scores[False] > 0.5)[known] == frame["target"][known]) + 0.1
    )


def test_combinations_are_never_mistaken_for_one_another():
    frame = pd.DataFrame({"a": ["x", "x|1:y", None], "b": ["y|1:z", "z", "z"]})
    crossed = CategoryInteraction().fit(frame).transform(frame).iloc[:, 0]
    assert crossed.nunique() == 2
    assert crossed.isna().tolist() == [False, False, True]


@pytest.mark.parametrize("gap", [None, "c"])
def test_combinations_are_written_as_ever(gap: str | None):
    frame = pd.DataFrame({"a": ["x", "yy", "", "x"], "b": [1, 2.5, 3, 1], "c": ["é", gap, "|", "é"]})
    crossed = CategoryInteraction().fit(frame).transform(frame)["a x b x c"]
    second = None if gap is None else "2:yy|3:2.5|1:c"
    assert [None if pd.isna(one) else one for one in crossed] == ["1:x|1:1|1:é", second, "0:|1:3|1:|", "1:x|1:1|1:é"]
    nothing = pd.DataFrame({"a": ["x", "y"], "b": pd.Series([None, None], dtype=object)})
    alone = CategoryInteraction().fit(nothing).transform(nothing)["a x b"]
    assert alone.isna().all()
    assert alone.cat.categories.tolist() == ["1:x|", "1:y|"]


def test_crossing_runs_no_python_for_each_combination():
    def work(rows: int) -> int:
        numbers = np.arange(rows)
        frame = pd.DataFrame({"a": (numbers % 40).astype(str), "b": (numbers // 40).astype(str)})
        crossed = CategoryInteraction().fit(frame)
        # A part of a text is written for each level, of which there are as many however many rows.
        texts = "CategoryInteraction.transform.<locals>.<listcomp>"
        return opcodes_in(category_interactions.__file__, lambda: crossed.transform(frame), but=[texts])

    assert work(1_600) == work(160)


@pytest.mark.parametrize(
    "positions", [np.arange(10, 300), np.array([5]), np.array([7, 3]), np.array([0, 2, 3]), np.array([], int)]
)
def test_some_of_the_rows_are_those_and_neighbours_are_no_copy(positions: np.ndarray):
    rows = rows_of(declare(), frame_of())
    some = rows.at(positions)
    pd.testing.assert_frame_equal(some.frame, rows.frame.take(positions))
    assert (some.target == rows.target[positions]).all()
    neighbours = len(positions) in (290, 1)
    for part, whole in ((some.target, rows.target), (some.frame["size"].to_numpy(), rows.frame["size"].to_numpy())):
        assert np.shares_memory(part, whole) is neighbours


# Dates and texts


def test_dates_are_taken_apart_where_their_clock_hangs():
    at = pd.DataFrame({"at": pd.to_datetime(["2024-01-07T23:30Z", "2024-07-01T00:00Z", None])})
    parts = ("hour", "weekday", "day", "day_of_year", "week", "month", "year", "days_since_1970")
    out = DatetimeFeatures(parts).fit(at).transform(at)
    assert out[0].tolist() == pytest.approx([23.5, 6, 7, 7, 1, 1, 2024, 19729 + 23.5 / 24])
    assert np.isnan(out[2]).all()
    berlin = DatetimeFeatures(("hour", "weekday"), timezone="Europe/Berlin").fit(at).transform(at)
    assert berlin[:2].tolist() == [[0.5, 0], [2, 0]]


def test_cyclic_parts_put_midnight_beside_the_hour_before():
    at = pd.DataFrame({"at": pd.to_datetime(["2024-01-01T00:00Z", "2024-01-01T23:00Z", "2024-01-01T12:00Z"])})
    circle = prepared(at, dates={"columns": ["at"], "parts": ["hour"], "cyclic": True})
    assert circle.shape == (3, 2)
    assert np.linalg.norm(circle[0] - circle[1]) < 0.3 < np.linalg.norm(circle[0] - circle[2])


def test_a_model_learns_from_dates():
    frame = frame_of()
    frame["target"] = frame["at"].dt.hour >= 12
    pipeline = trained({"dates": {"columns": ["at"], "parts": ["hour"], "scale": "standard"}}, frame=frame)
    assert np.mean((predict_scores(pipeline, frame) > 0.5) == frame["target"]) > 0.97


def test_words_and_runs_of_characters_count():
    notes = pd.DataFrame({"note": ["delayed by fog", "fog again", None, "sunny"]})
    words = prepared(notes, text={"columns": ["note"]})
    assert words.shape[1] == 5
    assert not words[2].any()
    assert prepared(notes, text={"columns": ["note"], "min_rows": 2}).shape[1] == 1
    assert prepared(notes, text={"columns": ["note"], "max_features": 2}).shape[1] == 2
    assert prepared(notes, text={"columns": ["note"], "ngrams": 2}).shape[1] > 5
    assert prepared(notes, text={"columns": ["note"], "unit": "character"}).shape[1] > 5


# Selection


@pytest.mark.parametrize(
    ("select", "kept"),
    [
        ({"method": "variance"}, 3),
        ({"method": "variance", "threshold": 50}, 1),
        ({"method": "k_best", "k": 1}, 1),
        ({"method": "k_best", "k": 2, "score": "mutual_information"}, 2),
        ({"method": "model", "k": 1}, 1),
        ({"method": "model", "threshold": 0.0}, 4),
        ({"method": "model", "estimator": "logistic_regression"}, 1),
        ([{"method": "variance"}, {"method": "k_best", "k": 2}], 2),
    ],
)
def test_columns_are_chosen(select, kept: int):
    rng = np.random.default_rng(0)
    frame = frame_of().assign(constant=1.0, noise=rng.normal(size=400))
    features = {"numeric": {"columns": ["size", "weight", "constant", "noise"]}, "select": select}
    pipeline = trained(features, frame=frame)
    assert steps(pipeline) == kept
    if kept == 1 and "threshold" not in str(select):
        assert pipeline[1].mask.tolist() == [True, False, False, False]


# Imbalance and weights


@pytest.mark.parametrize(
    ("method", "sizes"), [("random_over", [90, 90]), ("random_under", [10, 10]), ("smote", [90, 90])]
)
def test_classes_are_resampled_to_like_size_or_to_a_ratio(method: str, sizes: list[int]):
    matrix, target = np.random.default_rng(0).normal(size=(100, 2)), np.repeat([0, 1], [90, 10])
    made, labels, _ = resample(Imbalance(method=method), matrix, target, seed=0)
    assert np.bincount(labels).tolist() == sizes
    assert len(made) == sum(sizes)
    _, labels, _ = resample(Imbalance(method=method, ratio=0.5), matrix, target, seed=0)
    assert np.bincount(labels)[1] / np.bincount(labels)[0] == 0.5


@pytest.mark.parametrize("method", ["class_weight", "random_over", "random_under", "smote"])
def test_whatever_is_done_about_imbalance_raises_the_scores_of_the_rare(method: str):
    frame = rare()
    plain, treated = (predict_scores(trained(frame=frame, imbalance=how), frame).mean() for how in ("none", method))
    assert plain < 0.2 < treated


def rare() -> pd.DataFrame:
    frame = frame_of()
    return frame.assign(target=frame["target"] & (np.arange(len(frame)) % 3 == 0))


def test_smote_chooses_among_so_many_neighbours():
    frame = rare()
    one, many = (trained(frame=frame, imbalance={"method": "smote", "neighbors": n}) for n in (1, 10))
    assert predict_scores(one, frame).tolist() != predict_scores(many, frame).tolist()


def test_smote_goes_by_all_other_rows_of_a_class_that_has_fewer_than_the_neighbours_asked_for():
    matrix, target = np.arange(24.0).reshape(12, 2), np.r_[np.zeros(9, int), np.ones(3, int)]
    made, labels, rows = resample(Imbalance(method="smote", neighbors=5), matrix, target, seed=0)
    assert rows is None and np.bincount(labels).tolist() == [9, 9]
    assert made[labels == 1].min() >= matrix[9:].min()


def test_rows_count_by_a_column_and_by_their_age():
    frame = frame_of()
    newest = frame["at"].max()
    weights = declared_weights(RowWeights(half_life="2d"), frame, "at")
    two_days = (newest - frame["at"]) / pd.Timedelta(days=2)
    np.testing.assert_allclose(weights / weights[-1], 0.5**two_days)
    frame["worth"] = np.where(frame["target"], 3.0, 1.0)
    assert declared_weights(RowWeights(column="worth"), frame, "at")[frame["target"]].min() > 1
    plain, weighed = (
        predict_scores(trained(frame=frame, **how), frame).mean() for how in ({}, {"weights": {"column": "worth"}})
    )
    assert weighed > plain + 0.1
    with pytest.raises(TrainingError, match="holds no weights"):
        trained(frame=frame.assign(worth=-1.0), weights={"column": "worth"})


def test_reweighing_makes_group_and_class_independent():
    groups, target = np.repeat(["a", "b"], 50), np.r_[np.repeat([0, 1], [40, 10]), np.repeat([0, 1], [10, 40])]
    weights = reweighing(target, groups)
    shares = [np.average(target[groups == group], weights=weights[groups == group]) for group in "ab"]
    assert shares == pytest.approx([0.5, 0.5])
    assert weights.mean() == pytest.approx(
        1
    )  # or estimators would penalise coefficients otherwise than without weights


# Thresholds


def test_the_threshold_serves_its_objective_or_cost():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    target = np.array([0, 0, 1, 0, 1, 1])
    assert choose_threshold(Threshold(objective="accuracy"), target, scores) == 0.6
    assert choose_threshold(Threshold(objective="f1"), target, scores) == 0.3
    for costs, expected in (((1, 10), 0.3), ((10, 1), 0.6), ((1, -0.1), np.nextafter(0.9, 1))):
        cost = dict(zip(("false_positive", "false_negative"), costs, strict=True))
        assert choose_threshold(Threshold(cost=cost), target, scores) == expected


@pytest.mark.parametrize("objective", ["f1", "accuracy", "balanced_accuracy"])
def test_no_other_threshold_serves_better(objective: str):
    rng = np.random.default_rng(1)
    scores = rng.random(200).round(2)
    target = (rng.random(200) < scores * 0.6).astype(int)
    by_hand = getattr(metrics, f"{objective}_score")
    chosen = by_hand(target, scores >= choose_threshold(Threshold(objective=objective), target, scores))
    assert chosen == pytest.approx(max(by_hand(target, scores >= cut) for cut in np.unique(scores)))


# Permitted types


def test_a_class_by_its_path_is_fitted_if_the_deployment_permits_it(monkeypatch: pytest.MonkeyPatch):
    path, kept = "sklearn.linear_model.TheilSenRegressor", "sklearn.linear_model._theil_sen.TheilSenRegressor"
    training = {"candidates": [{"estimator": path}]}
    with pytest.raises(ConfigError, match="RATCHET_PERMITTED_TYPES"):
        trained(task="regression", **training)
    monkeypatch.setenv("RATCHET_PERMITTED_TYPES", f"some.other.Thing, {kept}")
    pipeline = trained(task="regression", **training)
    assert np.corrcoef(predict_scores(pipeline, frame_of("regression")), frame_of("regression")["target"])[0, 1] > 0.4
    body = dump(pipeline)
    monkeypatch.delenv("RATCHET_PERMITTED_TYPES")
    with pytest.raises(ModelFileRefused, match="not permitted"):
        load(body, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("separator", [",", ", ", " ", "\n"])
def test_what_the_deployment_permits_may_be_held_in_any_container(separator: str, monkeypatch: pytest.MonkeyPatch):
    path = "tests.include.training.keeping.Keeping"
    named = [path, "collections.defaultdict", "collections.OrderedDict", "builtins.set"]
    training = {"candidates": [{"estimator": path}]}
    for missing in named[1:]:
        monkeypatch.setenv("RATCHET_PERMITTED_TYPES", separator.join(name for name in named if name != missing))
        with pytest.raises(TrainingError, match=missing) as refused:
            trained(**training)
        assert "RATCHET_PERMITTED_TYPES" in str(refused.value)
    monkeypatch.setenv("RATCHET_PERMITTED_TYPES", separator.join(named))
    scores = predict_scores(trained(**training), frame_of())
    assert scores.tolist() == [frame_of()["target"].mean()] * len(scores)


def test_an_estimator_of_ours_may_be_named_by_its_path():
    pipeline = trained(candidates=[{"estimator": "sklearn.svm.LinearSVC"}])
    assert 0 <= predict_scores(pipeline, frame_of()).min() < predict_scores(pipeline, frame_of()).max() <= 1

"""What model.yaml says is what a person would write by hand: the same predictions, to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import (
    SelectFromModel,
    SelectKBest,
    VarianceThreshold,
    f_classif,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from include.training.persistence.model_file import predict_scores
from tests.include.training.conftest import declare, fit_at_once, frame_of

NUMBERS = ["size", "weight"]
PLAIN = {"numeric": {"columns": NUMBERS}}
FOLDS = {"kind": "stratified", "folds": 3}


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):  # BLAS sums in another order with two
        yield


def fitted_by_hand(pipeline, task="classification"):
    frame = filled(task)
    return pipeline.fit(frame, frame["target"])


def filled(task="classification", seed=0):
    frame = frame_of(task, seed=seed)
    return frame.assign(colour=frame["colour"].fillna("(missing)"))


def same(model, by_hand, task="classification"):
    ours = predict_scores(fit_at_once(model, frame_of(task)), frame_of(task, seed=1))
    later = filled(task, seed=1)
    theirs = by_hand.predict_proba(later)[:, 1] if task == "classification" else by_hand.predict(later)
    return ours.tolist() == theirs.tolist()


def numbers(*steps):
    return make_pipeline(SimpleImputer(strategy="median"), *steps)


def prepared(*, encoder, steps=(), threshold=0.0):
    groups = [("levels", encoder, ["colour"]), ("numbers", numbers(StandardScaler(), *steps), NUMBERS)]
    return ColumnTransformer(groups, sparse_threshold=threshold)


def test_logistic_regression_on_scaled_numbers_and_one_hot_levels():
    levels = [["blue", "green", "grey", "red", "(missing)"]]
    encoder = OneHotEncoder(categories=levels, handle_unknown="ignore")
    by_hand = make_pipeline(prepared(encoder=encoder, threshold=1.0), LogisticRegression(max_iter=1000, random_state=0))
    assert same(declare(), fitted_by_hand(by_hand))


@pytest.mark.parametrize(
    ("numeric", "by_hand"),
    [
        ({"impute": "mean", "scale": "min_max"}, [SimpleImputer(strategy="mean"), MinMaxScaler()]),
        ({"impute": "median", "scale": "robust"}, [SimpleImputer(strategy="median"), RobustScaler()]),
        ({"impute": "mode", "skew": "power"}, [SimpleImputer(strategy="most_frequent"), PowerTransformer()]),
        (
            {"impute": "constant", "fill_value": -1, "indicator": True, "scale": "standard"},
            [SimpleImputer(strategy="constant", fill_value=-1.0, add_indicator=True), StandardScaler()],
        ),
    ],
    ids=lambda part: " ".join(map(str, part.values())) if isinstance(part, dict) else "",
)
def test_numbers_imputed_scaled_and_drawn_in(numeric, by_hand):
    steps = ColumnTransformer([("numbers", make_pipeline(*by_hand), NUMBERS)])
    pipeline = make_pipeline(steps, Ridge(random_state=0))
    model = declare(
        "regression",
        features={"numeric": {"columns": NUMBERS, **numeric}},
        training={"candidates": [{"estimator": "ridge"}]},
    )
    assert same(model, fitted_by_hand(pipeline, "regression"), "regression")


def test_levels_in_their_order():
    encoder = OrdinalEncoder(categories=[["blue", "green", "grey", "red", "(missing)"]])
    pipeline = make_pipeline(ColumnTransformer([("levels", encoder, ["colour"])]), GaussianNB())
    model = declare(
        features={"categorical": {"columns": ["colour"], "encode": "ordinal"}},
        training={"candidates": [{"estimator": "naive_bayes"}]},
    )
    assert same(model, fitted_by_hand(pipeline))


def test_cross_fitted_target_means_of_a_class():
    encoder = TargetEncoder(target_type="binary", random_state=0)
    by_hand = make_pipeline(prepared(encoder=encoder), LogisticRegression(max_iter=1000, random_state=0))
    features = {
        "numeric": {"columns": NUMBERS, "scale": "standard"},
        "categorical": {"columns": ["colour"], "encode": "target"},
    }
    assert same(declare(features=features), fitted_by_hand(by_hand))


@pytest.mark.parametrize(
    ("select", "by_hand"),
    [
        ({"method": "variance", "threshold": 2}, VarianceThreshold(2)),
        ({"method": "k_best", "k": 1}, SelectKBest(f_classif, k=1)),
        (
            {"method": "model", "threshold": 1.0},
            SelectFromModel(ExtraTreesClassifier(min_samples_leaf=5, random_state=0), threshold="1.0*mean"),
        ),
    ],
    ids=lambda part: part["method"] if isinstance(part, dict) else "",
)
def test_columns_selected(select, by_hand):
    pipeline = make_pipeline(ColumnTransformer([("numbers", numbers(), NUMBERS)]), by_hand, LogisticRegression())
    model = declare(features={**PLAIN, "select": select})
    assert same(model, fitted_by_hand(pipeline.set_params(logisticregression__max_iter=1000)))


@pytest.mark.parametrize("balance", ["class_weight", "half_life"])
def test_rows_weighed_by_class_and_by_age(balance):
    levels = [["blue", "green", "grey", "red", "(missing)"]]
    pipeline = make_pipeline(
        prepared(encoder=OneHotEncoder(categories=levels, handle_unknown="ignore"), threshold=1.0),
        LogisticRegression(max_iter=1000, random_state=0),
    )
    frame = filled()
    if balance == "class_weight":
        training, weights = {"imbalance": "class_weight"}, compute_sample_weight("balanced", frame["target"])
    else:
        training = {"weights": {"half_life": "5d"}}
        weights = 0.5 ** ((frame["at"].max() - frame["at"]) / pd.Timedelta(days=5)).to_numpy()
        weights = weights / weights.mean()
    pipeline.fit(frame, frame["target"], logisticregression__sample_weight=weights)
    model = declare(training={"candidates": [{"estimator": "logistic_regression"}], **training})
    assert same(model, pipeline)


@pytest.mark.parametrize(
    ("imbalance", "sampler"),
    [("random_over", RandomOverSampler(random_state=0)), ("random_under", RandomUnderSampler(random_state=0))],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_rows_repeated_or_left_out_as_imbalanced_learn_does(imbalance, sampler):
    by_hand = make_sampling_pipeline(
        ColumnTransformer([("numbers", numbers(), NUMBERS)]),
        sampler,
        LogisticRegression(max_iter=1000, random_state=0),
    )
    training = {"candidates": [{"estimator": "logistic_regression"}], "imbalance": imbalance}
    assert same(declare(features=PLAIN, training=training), fitted_by_hand(by_hand))


def test_gradient_boosting_on_native_levels_and_gaps():
    encoder = OrdinalEncoder(categories=[["blue", "green", "grey", "red", "(missing)"]])
    prepare = ColumnTransformer([("levels", encoder, ["colour"]), ("numbers", "passthrough", NUMBERS)])
    boosting = HistGradientBoostingClassifier(
        max_iter=20, random_state=0, categorical_features=[0], early_stopping=False
    )
    features = {
        "numeric": {"columns": NUMBERS, "impute": "none"},
        "categorical": {"columns": "colour", "encode": "native"},
    }
    features["categorical"]["columns"] = ["colour"]
    candidates = [{"estimator": "hist_gradient_boosting", "params": {"max_iter": 20}}]
    model = declare(features=features, training={"candidates": candidates})
    assert same(model, fitted_by_hand(make_pipeline(prepare, boosting)))


def test_elastic_net_on_target_means_products_and_powers():
    encoder = TargetEncoder(target_type="continuous", random_state=0)
    steps = (PolynomialFeatures(2, include_bias=False),)
    net = ElasticNet(alpha=0.1, max_iter=10_000, random_state=0)
    features = {
        "numeric": [{"columns": NUMBERS, "scale": "standard", "degree": 2}],
        "categorical": [{"columns": ["colour"], "encode": "target"}],
    }
    training = {"candidates": [{"estimator": "elastic_net", "params": {"alpha": 0.1}}]}
    by_hand = fitted_by_hand(make_pipeline(prepared(encoder=encoder, steps=steps), net), "regression")
    assert same(declare("regression", features=features, training=training), by_hand, "regression")


def test_smote_as_in_a_pipeline_of_imbalanced_learn():
    by_hand = make_sampling_pipeline(
        ColumnTransformer([("numbers", numbers(), NUMBERS)]),
        SMOTE(random_state=0, k_neighbors=5),
        LogisticRegression(max_iter=1000, random_state=0),
    )
    training = {"candidates": [{"estimator": "logistic_regression"}], "imbalance": "smote"}
    assert same(declare(features=PLAIN, training=training), fitted_by_hand(by_hand))


def test_calibration_as_scikit_learn_cross_fits_it():
    for method in ("sigmoid", "isotonic"):
        forest = RandomForestClassifier(n_estimators=8, min_samples_leaf=5, random_state=0)
        pipeline = make_pipeline(ColumnTransformer([("numbers", numbers(), NUMBERS)]), forest)
        cv = StratifiedKFold(3, shuffle=True, random_state=0)
        by_hand = CalibratedClassifierCV(pipeline, method=method, ensemble=False, cv=cv)
        candidate = {"estimator": "random_forest", "params": {"n_estimators": 8}, "calibration": method}
        training = {"candidates": [candidate], "cross_fitting": FOLDS}
        assert same(declare(features=PLAIN, training=training), fitted_by_hand(by_hand))


def test_voting_and_stacking_as_scikit_learn_does():
    def pipeline(estimator):
        return make_pipeline(ColumnTransformer([("numbers", numbers(), NUMBERS)]), estimator)

    members = [("a", pipeline(LogisticRegression(max_iter=1000, random_state=0))), ("b", pipeline(GaussianNB()))]
    singles = [{"estimator": "logistic_regression"}, {"estimator": "naive_bayes"}]
    joined = {
        "voting": VotingClassifier(members, voting="soft"),
        "stacking": StackingClassifier(
            members, LogisticRegression(max_iter=1000), cv=StratifiedKFold(3, shuffle=True, random_state=0)
        ),
    }
    for name, by_hand in joined.items():
        training = {"candidates": [{"estimator": name}, *singles], "cross_fitting": FOLDS}
        model = declare(features=PLAIN, training=training)
        ours = predict_scores(fit_at_once(model, frame_of(), name), frame_of(seed=1))
        # Members' probabilities are laid out in another order in memory, which a sum can tell in its last bit.
        theirs = fitted_by_hand(by_hand).predict_proba(filled(seed=1))[:, 1]
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)


def test_stacked_regressions_as_scikit_learn_does():
    def pipeline(estimator):
        return make_pipeline(ColumnTransformer([("numbers", numbers(), NUMBERS)]), estimator)

    members = [("a", pipeline(Ridge(random_state=0))), ("b", pipeline(ElasticNet(max_iter=10_000, random_state=0)))]
    by_hand = StackingRegressor(members, Ridge(), cv=KFold(3, shuffle=True, random_state=0))
    candidates = [{"estimator": "ridge"}, {"estimator": "elastic_net"}, {"estimator": "stacking"}]
    training = {"candidates": candidates, "cross_fitting": {"kind": "k_fold", "folds": 3}}
    model = declare("regression", features=PLAIN, training=training)
    ours = predict_scores(fit_at_once(model, frame_of("regression"), "stacking"), frame_of("regression", seed=1))
    theirs = fitted_by_hand(by_hand, "regression").predict(filled("regression", seed=1))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_texts_by_tf_idf():
    notes = pd.Series(["late again", "on time", "very late", None, "time flies"])
    frame, later = (frame_of(seed=seed).assign(note=np.resize(notes, 400)) for seed in (0, 1))
    model = declare(features={"text": {"columns": ["note"], "ngrams": 2, "max_features": 5}})
    words = ColumnTransformer(
        [("note", TfidfVectorizer(ngram_range=(1, 2), max_features=5), "note")], sparse_threshold=1
    )
    by_hand = make_pipeline(words, LogisticRegression(max_iter=1000, random_state=0))
    by_hand.fit(frame.fillna({"note": ""}), frame["target"])
    ours = predict_scores(fit_at_once(model, frame), later)
    assert ours.tolist() == by_hand.predict_proba(later.fillna({"note": ""}))[:, 1].tolist()

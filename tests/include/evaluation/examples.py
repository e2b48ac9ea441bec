"""A small, complete evidence document for tests that rule on evidence or draw it."""

from __future__ import annotations

from statistics import NormalDist

from include.evaluation.evidence import CostFunction, Evidence, Holdout, Subject, Units, Validation
from include.evaluation.explanation.results import Curves, Importance
from include.evaluation.gains import PROBABILITIES, Gain, Measured, SliceScores


def example_gain(metric: str, against: str, *, slice: tuple[str, str] | None = None, estimate: float = 0.01) -> Gain:
    distribution = NormalDist(estimate, 0.002)
    quantiles = tuple((p, distribution.inv_cdf(p)) for p in PROBABILITIES)
    return Gain(metric, against, slice, 1000, estimate, quantiles)  # type: ignore[arg-type]


def example_evidence(*, column: str = "origin", level: str = "EWR", model: str = "flight_delay") -> Evidence:
    measured = {
        "roc_auc": Measured(0.75, 0.74, 0.76),
        "precision": Measured(None, None, None, "no row is predicted positive"),
    }
    subject = Subject(
        fit="a" * 64,
        model_file="b" * 64,
        model_bytes=123_456,
        candidate="hist_gradient_boosting",
        estimator="hist_gradient_boosting",
        params={"max_iter": 200},
        threshold=0.5,
        train_after="2013-01-01T00:00:00Z",
        train_until="2013-05-30T00:00:00Z",
        train_rows=120_000,
        validation=Validation("roc_auc", 0.74, 0.01, (0.73, 0.75)),
    )
    curves = Curves(
        calibration=((0.1, 0.12, 0.1, 0.14, 500), (0.6, 0.55, 0.5, 0.6, 500)),
        roc=((0.0, 0.0), (0.2, 0.6), (1.0, 1.0)),
        precision_recall=((0.0, 1.0), (0.5, 0.6), (1.0, 0.22)),
        confusion=(700, 80, 120, 100),
    )
    return Evidence(
        model=model,
        task="classification",
        version="20130701T000000Z-0123456789",
        as_of="2013-07-01T00:00:00Z",
        incumbent="20130601T000000Z-9876543210",
        snapshot="c" * 64,
        holdout=Holdout("2013-05-31T00:00:00Z", "2013-06-30T00:00:00Z", 1000, "d" * 64, 220),
        comparable=True,
        incomparable_because=None,
        remedy=None,
        notes=(),
        metrics=("roc_auc", "precision"),
        scores={"challenger": measured, "incumbent": measured, "trivial": measured, "simple": measured},
        gains=(
            example_gain("roc_auc", "incumbent"),
            example_gain("roc_auc", "trivial", estimate=0.25),
            example_gain("roc_auc", "simple", estimate=0.02),
            example_gain("roc_auc", "incumbent", slice=(column, level)),
            Gain("precision", "incumbent", None, 1000, None, (), "no row is predicted positive"),
        ),
        slice_scores=(SliceScores(column, level, 400, 90, {"challenger": measured, "incumbent": measured}),),
        subjects={"challenger": subject, "incumbent": subject, "trivial": subject, "simple": subject},
        curves={"challenger": curves, "incumbent": curves},
        importance=(Importance("distance", 0.03, 0.002), Importance(column, 0.001, 0.002)),
        cost=CostFunction(4.2, 123_456),
        resamples=1000,
        units=Units("row", 1000, 1000),
        seed=7,
    )

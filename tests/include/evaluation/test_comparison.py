from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from include.evaluation.comparison import Comparison, compare
from include.evaluation.gains import Measured
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import draw
from include.evaluation.uncertainty.intervals import interval_of

METRICS = ("roc_auc", "precision", "brier")
N = 2000


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, dict, dict]:
    rng = np.random.default_rng(0)
    target = (rng.random(N) < 0.3).astype(float)
    level = pd.Series(rng.choice(["a", "b", None], N, p=[0.6, 0.3, 0.1]))
    level[:40] = "tiny"
    target[:40] = 0.0
    good = Scored(1 / (1 + np.exp(-(2 * target - 1 + rng.normal(size=N)))), 0.5)
    worse = Scored(1 / (1 + np.exp(-(target - 0.5 + rng.normal(size=N)))), 0.5)
    trivial = Scored(np.full(N, 0.3), 0.5)
    return target, {"challenger": good, "incumbent": worse, "trivial": trivial}, {"level": SliceLevels.of(level)}


@pytest.fixture(scope="module")
def found(rows: tuple) -> Comparison:
    target, models, slices = rows
    return compare(target, models, METRICS, slices, draw(np.arange(N), resamples=300, seed=1), positives=True)


def gain(found: Comparison, metric: str, against: str, at: tuple[str, str] | None = None):
    return next(g for g in found.gains if (g.metric, g.against, g.slice) == (metric, against, at))


def test_a_gain_is_positive_when_the_challenger_is_better_whatever_the_metrics_direction(found) -> None:
    for metric in METRICS:
        one = gain(found, metric, "incumbent")
        assert one.estimate > 0 and one.bound(0.95) > 0
    assert found.scores["challenger"]["brier"].value < found.scores["incumbent"]["brier"].value


def test_gains_and_losses_mirror_each_other(rows, found) -> None:
    target, models, slices = rows
    swapped = {"challenger": models["incumbent"], "incumbent": models["challenger"]}
    back = compare(target, swapped, METRICS, slices, draw(np.arange(N), resamples=300, seed=1), positives=True)
    assert gain(back, "roc_auc", "incumbent").bound(0.95) == pytest.approx(
        -gain(found, "roc_auc", "incumbent").upper(0.95)
    )


def test_a_model_gains_exactly_nothing_over_itself(rows) -> None:
    target, models, _ = rows
    same = {"challenger": models["challenger"], "incumbent": models["challenger"]}
    found = compare(target, same, METRICS, {}, draw(np.arange(N), resamples=300, seed=1), positives=True)
    assert all(g.estimate == g.bound(0.95) == g.upper(0.95) == 0 for g in found.gains)


def test_every_level_is_reported_missing_ones_too(found) -> None:
    supports = {scores.level: scores.support for scores in found.slice_scores}
    assert set(supports) == {"a", "b", "tiny", "(missing)"} and sum(supports.values()) == N


def test_a_slice_with_one_class_is_said_to_be_undefined(found) -> None:
    tiny = gain(found, "roc_auc", "incumbent", ("level", "tiny"))
    assert tiny.estimate is None and tiny.undefined == "needs rows of both classes" and tiny.bound(0.95) is None
    assert gain(found, "brier", "incumbent", ("level", "tiny")).estimate is not None


def test_a_model_that_predicts_no_positive_has_no_precision(found) -> None:
    assert found.scores["trivial"]["precision"].undefined == "no row is predicted positive"
    assert gain(found, "precision", "trivial").undefined == "no row is predicted positive"


def test_a_slice_with_hardly_any_positive_is_undefined_rather_than_certain(rows) -> None:
    target, models, _ = rows
    target = target.copy()
    target[:40] = [1.0] + [0.0] * 39
    slices = {"level": SliceLevels(("rest", "rare"), (np.arange(N) < 40).astype(int))}
    found = compare(target, models, METRICS, slices, draw(np.arange(N), resamples=300, seed=1), positives=True)
    assert "too few rows" in gain(found, "roc_auc", "incumbent", ("level", "rare")).undefined


def test_slices_gain_over_the_incumbent_or_else_over_the_baselines(rows, found) -> None:
    assert {g.against for g in found.gains if g.slice} == {"incumbent"}
    target, models, slices = rows
    first = {role: scored for role, scored in models.items() if role != "incumbent"}
    alone = compare(target, first, METRICS, slices, draw(np.arange(N), resamples=300, seed=1), positives=True)
    assert {g.against for g in alone.gains if g.slice} == {"trivial"}


def test_a_slice_of_all_rows_equals_the_whole(rows) -> None:
    target, models, _ = rows
    slices = {"all": SliceLevels(("everything",), np.zeros(N, dtype=int))}
    found = compare(target, models, METRICS, slices, draw(np.arange(N), resamples=300, seed=1), positives=True)
    whole, part = gain(found, "roc_auc", "incumbent"), gain(found, "roc_auc", "incumbent", ("all", "everything"))
    assert replace(part, slice=None, delong=whole.delong) == whole


def test_churn_is_nothing_between_equal_models_and_everything_between_opposites(rows) -> None:
    target, models, slices = rows
    theirs = models["incumbent"]
    opposite = Scored(np.nextafter(1 - theirs.score, 0), 0.5)
    for ours, share in ((theirs, 0.0), (opposite, 1.0)):
        pair = {"challenger": ours, "incumbent": theirs}
        found = compare(target, pair, ("brier",), slices, draw(np.arange(N), resamples=300, seed=1), positives=True)
        assert {one.share.value for one in found.churn} == {share}
        assert {one.slice for one in found.churn} == {None} | {
            ("level", name) for name in ("a", "b", "tiny", "(missing)")
        }


def test_levels_without_a_gain_take_no_part_in_what_all_levels_are_held_to(found) -> None:
    families = {family.metric: len(family.critical) for family in found.families}
    assert families["brier"] == 4 and families["roc_auc"] == 3


def test_levels_of_a_metric_of_which_less_is_better_are_held_to_no_more_than_of_its_mirror_image(rows) -> None:
    target, models, slices = rows
    pair = {role: models[role] for role in ("challenger", "incumbent")}
    found = compare(
        target, pair, ("accuracy", "brier"), slices, draw(np.arange(N), resamples=300, seed=1), positives=True
    )
    one = next(family for family in found.families if family.metric == "brier")
    # Of one level alone it is a quantile of its own deviations: Student's at most, and nowhere near the gain in standard errors.
    assert 1.2 < one.critical_value(1, 0.95) < 2.3
    error = gain(found, "brier", "incumbent", ("level", "a")).error
    assert gain(found, "brier", "incumbent", ("level", "a")).estimate / error > 5
    # Labels of hard scores: the Brier score is one minus accuracy, and everything said of it is the same.
    hard = {role: Scored((scored.score >= 0.5).astype(float), 0.5) for role, scored in pair.items()}
    found = compare(
        target, hard, ("accuracy", "brier"), slices, draw(np.arange(N), resamples=300, seed=1), positives=True
    )
    accuracy, brier = found.families
    assert np.array(accuracy.critical) == pytest.approx(np.array(brier.critical), abs=1e-3)
    for at in (None, ("level", "a"), ("level", "b")):
        ours, theirs = (gain(found, metric, "incumbent", at) for metric in ("accuracy", "brier"))
        assert ours.estimate == pytest.approx(theirs.estimate)
        assert [q for _, q in ours.quantiles] == pytest.approx([q for _, q in theirs.quantiles])


def test_bounds_beyond_what_the_resamples_tell_are_not_given(found) -> None:
    whole = gain(found, "roc_auc", "incumbent")
    assert whole.bound(0.99) is not None and whole.bound(0.999) is None


def test_what_has_too_few_units_for_an_interval_keeps_its_value() -> None:
    values = np.r_[0.25, np.linspace(0, 1, 200)]
    few, enough = (interval_of(values, "no value", units) for units in (9, 10))
    assert (few.value, few.low, few.high) == (0.25, None, None) and "too few to resample: 9" in few.undefined
    assert (enough.value, enough.undefined) == (0.25, None) and 0 < enough.low < 0.1 < 0.9 < enough.high < 1
    hardly = interval_of(np.r_[0.25, np.full(20, np.nan), np.linspace(0, 1, 180)], "no value", 100)
    assert (hardly.value, hardly.low) == (0.25, None) and "in 10% of the resamples no value" in hardly.undefined
    assert interval_of(np.r_[np.nan, np.linspace(0, 1, 200)], "no value", 100) == Measured(None, None, None, "no value")


@pytest.mark.parametrize("metric", ["recall", "precision", "accuracy"])
def test_a_share_that_no_resample_lowers_is_reached_as_rarely_as_its_interval_says(metric: str) -> None:
    rng, true, above = np.random.default_rng(5), 0.9, 0
    for number in range(200):
        target = np.r_[np.ones(14), np.zeros(0 if metric == "accuracy" else 186)]
        right = np.r_[rng.random(14) < true, np.zeros(len(target) - 14, bool)]
        if metric == "precision":  # of fourteen rows that are called
            target, right = right.astype(float), np.arange(len(target)) < 14
        found = compare(
            target,
            {"challenger": Scored(right * 0.9, 0.5)},
            (metric,),
            {},
            draw(np.arange(len(target)), resamples=200, seed=number),
            positives=True,
        )
        low = found.scores["challenger"][metric].low
        above += low is not None and low > true
    assert above / 200 < 0.06  # 2.5 % and chance; one such sample in four has no error at all

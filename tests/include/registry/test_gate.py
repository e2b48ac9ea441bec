"""The gate: four outcomes, and for every rule an answer with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import FLIGHTS, evidence, gain

from include.config.sections.evaluation import Gate
from include.evaluation.gains import CONFIDENCES, Family, Gain, Measured, PredictionChurn, SliceScores, probit
from include.registry.gate.judgement import judge, policy_digest
from include.registry.gate.verdicts import RuleResult
from include.registry.version_states import Outcome


def policy(**rules) -> Gate:
    return Gate.model_validate({"primary": {"metric": "roc_auc"}, **rules})


def outcome(policy: Gate, challenger: float, others: dict[str, float], **facts) -> Outcome:
    incumbent = "incumbent" if "incumbent" in others else None
    return judge(policy, evidence(challenger, others, incumbent=incumbent, **facts), challenger_is_simple=False).outcome


BASELINES = {"trivial": 0.5, "simple": 0.6}


@pytest.mark.parametrize(
    ("challenger", "expected"), [(0.75, Outcome.PROMOTE), (0.71, Outcome.HOLD), (0.65, Outcome.REJECT)]
)
def test_the_bound_decides_not_the_point(challenger, expected):
    assert outcome(policy(), challenger, {**BASELINES, "incumbent": 0.70}) is expected


@pytest.mark.parametrize(
    ("challenger", "expected"), [(0.65, Outcome.PROMOTE), (0.605, Outcome.HOLD), (0.55, Outcome.REJECT)]
)
def test_a_first_version_must_beat_the_simple_baseline_by_the_same_statistics(challenger, expected):
    assert outcome(policy(), challenger, BASELINES) is expected


def test_a_challenger_must_beat_the_baselines_even_when_it_beats_the_incumbent():
    assert outcome(policy(), 0.58, {"trivial": 0.5, "simple": 0.62, "incumbent": 0.5}) is Outcome.REJECT


def test_a_challenger_of_the_simple_baselines_own_kind_need_not_beat_itself_and_the_reason_says_so():
    made = evidence(0.6, {"trivial": 0.5, "simple": 0.6})
    judgement = judge(policy(), made, challenger_is_simple=True)
    assert judgement.outcome is Outcome.PROMOTE
    assert judgement.reason.startswith("roc_auc better than the trivial baseline: gain +0.1000")
    assert "same kind as the baseline" in judgement.reason and "+0.0000, " not in judgement.reason
    assert (judgement.primary["against"], judgement.primary["gain"]) == ("trivial", pytest.approx(0.1))
    assert judge(policy(), made, challenger_is_simple=False).outcome is Outcome.HOLD


def test_of_the_simple_baselines_kind_it_must_still_beat_the_trivial_one_and_says_if_it_is_worse_than_its_own_kind():
    open_still = judge(policy(), evidence(0.6, {"trivial": 0.6, "simple": 0.6}), challenger_is_simple=True)
    assert open_still.outcome is Outcome.HOLD
    worse = judge(policy(), evidence(0.6, {"trivial": 0.5, "simple": 0.7}), challenger_is_simple=True)
    assert worse.outcome is Outcome.PROMOTE
    assert "same kind as the baseline, not asked; it is worse: gain -0.1000" in worse.reason


def test_a_later_version_of_the_simple_kind_is_told_by_its_gain_over_the_champion():
    made = evidence(0.7, {"trivial": 0.5, "simple": 0.7, "incumbent": 0.6}, incumbent="x")
    judgement = judge(policy(), made, challenger_is_simple=True)
    assert judgement.outcome is Outcome.PROMOTE
    assert judgement.primary["against"] == "incumbent" and "same kind" not in judgement.reason


def test_not_worse_accepts_a_loss_within_the_margin_only_by_its_bound():
    rule = policy(primary={"metric": "roc_auc", "rule": "not_worse", "margin": 0.02})
    assert outcome(rule, 0.70, {**BASELINES, "incumbent": 0.70}) is Outcome.PROMOTE
    assert outcome(rule, 0.69, {**BASELINES, "incumbent": 0.70}) is Outcome.HOLD
    assert outcome(rule, 0.66, {**BASELINES, "incumbent": 0.70}) is Outcome.REJECT


def test_more_confidence_asks_for_more():
    sure = policy(primary={"metric": "roc_auc", "confidence": 0.99})
    assert outcome(policy(), 0.72, {**BASELINES, "incumbent": 0.70}) is Outcome.PROMOTE
    assert outcome(sure, 0.72, {**BASELINES, "incumbent": 0.70}) is Outcome.HOLD


def test_a_confidence_beyond_what_the_resamples_can_say_fails_closed():
    absurd = policy(primary={"metric": "roc_auc", "confidence": 0.99999})
    assert outcome(absurd, 0.9, {**BASELINES, "incumbent": 0.7}) is Outcome.HOLD


def test_an_incumbent_that_cannot_be_compared_is_said_out_loud():
    made = evidence(
        0.9,
        {**BASELINES},
        incumbent="old",
        comparable=False,
        incomparable_because="it lacks `dest`",
        remedy="Backfill it.",
    )
    judgement = judge(policy(), made, challenger_is_simple=False)
    assert judgement.outcome is Outcome.INCOMPARABLE
    assert "old can't be compared: it lacks `dest`. Backfill it." in judgement.reason


@pytest.mark.parametrize(("level", "expected"), [(0.7, Outcome.PROMOTE), (0.74, Outcome.HOLD), (0.8, Outcome.REJECT)])
def test_a_required_level_is_held_against_the_interval(level, expected):
    rule = policy(require=[{"metric": "roc_auc", "at_least": level}])
    assert outcome(rule, 0.75, {**BASELINES, "incumbent": 0.6}) is expected


def test_a_metric_without_a_value_fails_closed():
    rule = policy(require=[{"metric": "recall", "at_least": 0.5}], guards=[{"metric": "brier", "max_loss": 0.1}])
    made = evidence(0.75, {**BASELINES, "incumbent": 0.6}, incumbent="incumbent")
    made.scores["challenger"]["recall"] = Measured(None, None, None, "no positive row")
    judgement = judge(rule, made, challenger_is_simple=False)
    assert judgement.outcome is Outcome.HOLD
    assert [v.answer for v in judgement.verdicts if "recall" in v.rule or "brier" in v.rule] == [
        RuleResult.OPEN,
        RuleResult.OPEN,
    ]


@pytest.mark.parametrize(("loss", "expected"), [(0.0, Outcome.PROMOTE), (0.02, Outcome.HOLD), (0.09, Outcome.REJECT)])
def test_a_guard_is_a_non_inferiority_test(loss, expected):
    rule = policy(guards=[{"metric": "recall", "max_loss": 0.02}])
    extra = (gain("incumbent", -loss, metric="recall"),)
    assert outcome(rule, 0.75, {**BASELINES, "incumbent": 0.6}, extra=extra) is expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (0.0, Outcome.PROMOTE),
        (0.006, Outcome.PROMOTE),
        (0.02, Outcome.HOLD),
        (0.036, Outcome.HOLD),
        (0.06, Outcome.REJECT),
    ],
)
def test_a_share_of_the_incumbents_value_is_judged_by_both_ends_of_its_interval(loss, expected):
    """5 % of 0.5, which may be 0.4 or 0.6: at least 0.02 and at most 0.03 may be lost, by bounds 0.008 to each side."""
    rule = policy(guards=[{"metric": "recall", "max_loss": "5%"}])
    made = evidence(
        0.75,
        {**BASELINES, "incumbent": 0.6},
        incumbent="incumbent",
        extra=(gain("incumbent", -loss, metric="recall", error=0.005),),
    )
    made.scores["incumbent"]["recall"] = Measured(0.5, 0.4, 0.6)
    assert judge(rule, made, challenger_is_simple=False).outcome is expected


@pytest.mark.parametrize("value", [None, Measured(0.1, -0.1, 0.3), Measured(None, None, None, "no positive row")])
def test_a_share_of_what_is_unknown_or_may_be_zero_fails_closed(value):
    rule = policy(guards=[{"metric": "r2", "max_loss": "2%"}])
    made = evidence(
        0.75, {**BASELINES, "incumbent": 0.6}, incumbent="incumbent", extra=(gain("incumbent", 0.1, metric="r2"),)
    )
    if value is not None:
        made.scores["incumbent"]["r2"] = value
    judgement = judge(rule, made, challenger_is_simple=False)
    assert judgement.outcome is Outcome.HOLD
    assert "in the metric's own unit" in judgement.reason


@pytest.mark.parametrize(("share", "expected"), [("20%", Outcome.PROMOTE), ("1%", Outcome.REJECT)])
def test_a_share_holds_for_each_level_of_its_own_incumbents_value(share, expected):
    rule = policy(guards=[{"metric": "roc_auc", "slice": "origin", "max_loss": share}])
    facts = sliced(500, -0.06)
    scores = {"incumbent": {"roc_auc": Measured(0.5, 0.48, 0.52)}}
    facts["slice_scores"] = tuple(replace(one, scores=scores) for one in facts["slice_scores"])
    assert outcome(rule, 0.9, {**BASELINES, "incumbent": 0.6}, **facts) is expected


@pytest.mark.parametrize("text", ["-2%", "2 %", "%", "200%", "two"])
def test_a_loss_that_is_neither_a_number_nor_a_share_is_refused(text):
    with pytest.raises(ValueError, match="max_loss"):
        policy(guards=[{"metric": "recall", "max_loss": text}])


def sliced(support: int, estimate: float) -> dict:
    level = ("origin", "LGA")
    return {
        "extra": (gain("incumbent", estimate, slice=level, support=support),),
        "slice_scores": (SliceScores(*level, support=support, positives=10, scores={}),),
    }


def test_a_weak_slice_rejects_while_the_whole_gains():
    rule = policy(guards=[{"metric": "roc_auc", "slice": "origin", "max_loss": 0.02}])
    assert outcome(rule, 0.9, {**BASELINES, "incumbent": 0.6}, **sliced(500, -0.1)) is Outcome.REJECT


@pytest.mark.parametrize(("required", "expected"), [(False, Outcome.PROMOTE), (True, Outcome.HOLD)])
def test_a_slice_below_its_support_is_unverified_and_blocks_only_when_required(required, expected):
    rule = policy(guards=[{"metric": "roc_auc", "slice": "origin", "max_loss": 0.02, "required": required}])
    assert outcome(rule, 0.9, {**BASELINES, "incumbent": 0.6}, **sliced(99, -0.1)) is expected


def test_a_slice_that_was_not_measured_fails_closed():
    rule = policy(guards=[{"metric": "roc_auc", "slice": "origin", "max_loss": 0.02}])
    assert outcome(rule, 0.9, {**BASELINES, "incumbent": 0.6}) is Outcome.HOLD


def test_every_rule_answers_with_a_reason():
    made = evidence(0.75, {**BASELINES, "incumbent": 0.6}, incumbent="incumbent")
    judgement = judge(FLIGHTS.gate, made, challenger_is_simple=False)
    assert len(judgement.verdicts) == 1 + 2 + 1 + 2
    assert all(verdict.reason for verdict in judgement.verdicts)


def test_an_undefined_gain_says_why():
    made = evidence(0.75, BASELINES, extra=())
    blank = Gain("roc_auc", "incumbent", None, 10, None, (), "one class only")
    made = evidence(0.75, BASELINES, incumbent="x", extra=(blank,))
    assert "one class only" in judge(policy(), made, challenger_is_simple=False).reason


def test_a_policys_digest_changes_with_any_rule_and_with_nothing_else():
    assert policy_digest(policy()) == policy_digest(policy())
    assert policy_digest(policy()) != policy_digest(policy(primary={"metric": "roc_auc", "confidence": 0.9}))


ORIGINS = tuple(f"A{number:02}" for number in range(30))


def thirty(gains: dict[str, float] | None = None, *, error: float = 0.01, families: tuple[Family, ...] = ()) -> dict:
    """Thirty levels of 500 rows each: nothing changes but in those given."""
    at = {level: (gains or {}).get(level, 0.0) for level in ORIGINS}
    return {
        "extra": tuple(
            gain("incumbent", change, slice=("origin", level), support=500, error=error) for level, change in at.items()
        ),
        "slice_scores": tuple(SliceScores("origin", level, 500, 100, {}) for level in ORIGINS),
        "families": families,
    }


def guarded(max_loss: float, **facts) -> Gate:
    return policy(guards=[{"metric": "roc_auc", "slice": "origin", "max_loss": max_loss, **facts}])


BETTER = {**BASELINES, "incumbent": 0.6}


def test_the_worst_of_thirty_equal_levels_does_not_reject():
    """Two standard errors below what is accepted: alone it would fail, among thirty it is what chance gives."""
    worst = thirty({"A07": -0.03 - 0.02})
    assert outcome(guarded(0.03), 0.9, BETTER, **worst) is Outcome.HOLD
    assert outcome(guarded(0.03), 0.9, BETTER, **thirty({"A07": -0.03 - 0.05})) is Outcome.REJECT


def test_levels_that_move_together_are_judged_by_their_own_critical_value():
    together = Family("roc_auc", "origin", tuple(tuple(map(probit, CONFIDENCES)) for _ in ORIGINS))
    worst = thirty({"A07": -0.03 - 0.02}, families=(together,))
    assert outcome(guarded(0.03), 0.9, BETTER, **worst) is Outcome.REJECT


def test_levels_too_small_to_verify_are_said_to_be_and_do_not_hold_forever():
    noisy = thirty(error=0.02)
    assert outcome(guarded(0.03), 0.9, BETTER, **noisy) is Outcome.PROMOTE
    assert outcome(guarded(0.03, required=True), 0.9, BETTER, **noisy) is Outcome.HOLD
    judgement = judge(guarded(0.03), evidence(0.9, BETTER, incumbent="x", **noisy), challenger_is_simple=False)
    unverified = [verdict for verdict in judgement.verdicts if verdict.answer is RuleResult.UNVERIFIED]
    assert len(unverified) == 30 and "30 of the 33 rules" in judgement.reason
    assert "500 rows, of about 3,800 that it takes to verify" in unverified[0].reason


def test_a_level_that_surely_loses_holds_even_where_it_cannot_be_said_how_much():
    losing = thirty({"A07": -0.07}, error=0.02)
    judgement = judge(guarded(0.03), evidence(0.9, BETTER, incumbent="x", **losing), challenger_is_simple=False)
    assert judgement.outcome is Outcome.HOLD and "it does lose" in judgement.reason


def test_a_level_without_a_value_is_unverified_and_blocks_only_when_required():
    blank = Gain("roc_auc", "incumbent", ("origin", "A00"), 500, None, (), "needs rows of both classes")
    facts = thirty(error=0.001)
    facts["extra"] = (blank, *facts["extra"][1:])
    assert outcome(guarded(0.03), 0.9, BETTER, **facts) is Outcome.PROMOTE
    assert outcome(guarded(0.03, required=True), 0.9, BETTER, **facts) is Outcome.HOLD


def test_a_level_that_was_not_measured_fails_closed():
    facts = thirty(error=0.001)
    facts["extra"] = facts["extra"][1:]
    assert outcome(guarded(0.03), 0.9, BETTER, **facts) is Outcome.HOLD


def test_many_guards_reject_no_more_often_than_one():
    """A loss that one guard rejects by a hair is held when ten of them share the error."""
    extra = (gain("incumbent", -0.02 - 0.02, metric="recall"),)
    one = {"metric": "recall", "max_loss": 0.02}
    assert outcome(policy(guards=[one]), 0.75, BETTER, extra=extra) is Outcome.REJECT
    others = [{"metric": "roc_auc", "max_loss": 0.1}] * 9
    assert outcome(policy(guards=[one, *others]), 0.75, BETTER, extra=extra) is Outcome.HOLD


def test_a_hold_says_what_was_detectable_and_how_many_more_rows_decide():
    judgement = judge(
        policy(), evidence(0.71, {**BASELINES, "incumbent": 0.7}, incumbent="x"), challenger_is_simple=False
    )
    assert "a gain of +0.0249 or more with 80% power" in judgement.reason
    assert (
        "about 17,000 more labelled rows decide" in judgement.reason
    )  # the bound is 1.645 gains away: 2.7 times the rows
    assert judgement.primary["least_detectable"] == pytest.approx(2.486 * 0.01, abs=1e-4)


def test_at_the_margin_more_rows_will_not_help():
    at_margin = evidence(0.7001, {**BASELINES, "incumbent": 0.7}, incumbent="x")
    assert "more rows will not help" in judge(policy(), at_margin, challenger_is_simple=False).reason


@pytest.mark.parametrize(
    ("at_most", "expected"), [(0.1, Outcome.PROMOTE), (0.05, Outcome.HOLD), (0.02, Outcome.REJECT)]
)
def test_churn_is_held_to_its_limit_by_its_interval(at_most, expected):
    churn = (PredictionChurn(None, 10_000, Measured(0.05, 0.04, 0.06)),)
    assert outcome(policy(churn={"at_most": at_most}), 0.75, BETTER, churn=churn) is expected


@pytest.mark.parametrize(("at_most", "expected"), [(1000, Outcome.PROMOTE), (999, Outcome.REJECT)])
@pytest.mark.parametrize("others", [BETTER, BASELINES])
def test_a_model_file_has_at_most_the_declared_size_a_first_one_too(at_most, expected, others):
    assert outcome(policy(model_size={"at_most": at_most}), 0.75, others) is expected
    assert policy_digest(policy()) == policy_digest(policy(model_size=None))


def test_churn_that_was_not_measured_fails_closed_and_a_first_version_changes_nothing():
    rule = policy(churn={"at_most": 0.1})
    assert outcome(rule, 0.75, BETTER) is Outcome.HOLD
    assert outcome(rule, 0.75, BASELINES) is Outcome.PROMOTE


def test_a_margin_is_taken_off_the_least_gain_that_shows_against_an_incumbent_and_not_against_a_baseline():
    rule = policy(primary={"metric": "roc_auc", "rule": "not_worse", "margin": 0.02})
    shown = 0.01 * (probit(0.95) + probit(0.8))
    made = evidence(0.7, {**BASELINES, "incumbent": 0.7}, incumbent="incumbent")
    assert judge(rule, made, challenger_is_simple=False).primary["least_detectable"] == pytest.approx(shown - 0.02)
    first = judge(rule, evidence(0.7, BASELINES), challenger_is_simple=False).primary
    assert first["least_detectable"] == pytest.approx(shown)


def test_a_judgement_keeps_the_primary_metric_of_both_with_the_gain_and_its_bounds():
    rule = policy(primary={"metric": "roc_auc", "confidence": 0.9})
    made = evidence(0.75, {**BASELINES, "incumbent": 0.6}, incumbent="incumbent")
    facts = judge(rule, made, challenger_is_simple=False).primary
    assert (facts["metric"], facts["against"], facts["confidence"]) == ("roc_auc", "incumbent", 0.9)
    assert (facts["challenger"], facts["challenger_low"], facts["challenger_high"]) == pytest.approx((0.75, 0.73, 0.77))
    assert (facts["other"], facts["gain"]) == pytest.approx((0.6, 0.15))
    bound = 0.01 * probit(0.9)
    assert (facts["low"], facts["high"]) == pytest.approx((0.15 - bound, 0.15 + bound))
    first = judge(rule, evidence(0.75, BASELINES), challenger_is_simple=False).primary
    assert (first["against"], first["other"]) == ("simple", 0.6)
    made.scores["challenger"].clear()
    facts = judge(rule, made, challenger_is_simple=False).primary
    assert facts["challenger"] is facts["challenger_low"] is facts["challenger_high"] is None

"""How much better a challenger is on rows that it knows: measured as on the holdout, read once, and a rule that fails closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from include.data.frames import read_rows
from include.evaluation.compared_models import ComparedModel, open_model
from include.evaluation.explanation.overfitting import train_scores
from include.evaluation.explanation.results import TrainScores
from include.evaluation.gains import Measured
from include.evaluation.measure import measure
from include.evaluation.scored_rows import Scored
from include.registry.gate.judgement import Judgement, judge
from include.registry.gate.verdicts import RuleResult
from include.registry.version_states import Outcome
from include.training import fit_inputs
from include.training.persistence.model_file import predict_scores
from tests.include.evaluation.examples import example_evidence
from tests.include.evaluation.parcels import Judged, judged

BY_HEART = "- {estimator: decision_tree, params: {min_samples_leaf: 1}}"


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged(tmp_path_factory.mktemp("by_heart"), gate="overfitting: {max_gap: 0.1}", candidate=BY_HEART)


def rule(judgement: Judgement) -> Any:
    return next(verdict for verdict in judgement.verdicts if verdict.rule.startswith("gap of"))


def test_a_tree_that_knows_its_rows_by_heart_is_rejected_with_what_to_do(by_heart: Judged) -> None:
    assert by_heart.evidence.train.scores["roc_auc"].value > 0.99
    assert by_heart.judgement.outcome is Outcome.REJECT
    assert rule(by_heart.judgement).rule == "gap of roc_auc between training rows and holdout at most 0.1"
    assert "it overfits" in rule(by_heart.judgement).reason
    assert ">Overfitting</h2>" in by_heart.card


def test_metrics_on_training_rows_are_those_of_the_stored_model(by_heart: Judged) -> None:
    rows = read_rows(by_heart.store, by_heart.snapshot, by_heart.model, by_heart.folder, window="train")
    score = predict_scores(open_model(by_heart.store, by_heart.fit), rows)
    train = by_heart.evidence.train
    assert (train.rows, train.of) == (len(rows), len(rows))
    assert train.scores["roc_auc"].value == pytest.approx(roc_auc_score(rows["late"], score))
    assert train.scores["brier"].value == pytest.approx(brier_score_loss(rows["late"], score))


def test_a_gap_is_positive_where_training_rows_are_better_also_where_less_is(by_heart: Judged) -> None:
    held = by_heart.evidence.scores["challenger"]
    for metric in ("roc_auc", "brier"):
        gap = by_heart.evidence.gap(metric)
        assert gap.value == pytest.approx(abs(held[metric].value - by_heart.evidence.train.scores[metric].value))
        assert 0 < gap.low < gap.value < gap.high
    assert by_heart.evidence.train.scores["brier"].value < held["brier"].value


def test_the_rule_asks_the_named_metric_and_the_whole_interval(by_heart: Judged) -> None:
    def answer(max_gap: float, metric: str | None = None) -> RuleResult:
        policy = by_heart.model.gate
        asked = policy.overfitting.model_copy(update={"max_gap": max_gap, "metric": metric})
        changed = policy.model_copy(update={"overfitting": asked})
        return rule(judge(changed, by_heart.evidence, challenger_is_simple=False)).answer

    gap = by_heart.evidence.gap("roc_auc")
    assert [answer(gap.low - 0.01), answer(gap.value), answer(gap.high + 0.01)] == [
        RuleResult.FAIL,
        RuleResult.OPEN,
        RuleResult.PASS,
    ]
    assert answer(by_heart.evidence.gap("brier").high + 0.01, "brier") is RuleResult.PASS


@pytest.mark.parametrize("lost", ["everything", "the metric", "its value"])
def test_a_gap_that_was_not_measured_is_never_small_enough(by_heart: Judged, lost: str) -> None:
    train = by_heart.evidence.train
    without = {
        "everything": None,
        "the metric": replace(train, scores={}),
        "its value": replace(train, scores={"roc_auc": Measured(None, None, None, "needs rows of both classes")}),
    }[lost]
    verdict = rule(judge(by_heart.model.gate, replace(by_heart.evidence, train=without), challenger_is_simple=False))
    assert verdict.answer is RuleResult.OPEN and ("not measured" in verdict.reason or "both classes" in verdict.reason)


def test_training_rows_are_read_once_for_wires_and_gap_and_not_for_another_incumbent(
    by_heart: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(*given: Any, **how: Any) -> Any:
        read.append(how["window"])
        return read_rows(*given, **how)

    monkeypatch.setattr(fit_inputs, "read_rows", counted)
    again = judged(tmp_path, gate="overfitting: {max_gap: 0.1}", candidate=BY_HEART)
    assert read == ["train"]
    baselines = {"trivial": by_heart.fit, "simple": by_heart.fit}
    other, _ = measure(
        again.store,
        again.model,
        again.folder,
        challenger=ComparedModel("other", again.fit),
        incumbent=ComparedModel("same", replace(again.fit, key="f" * 64)),
        baselines=baselines,
        snapshot=again.snapshot,
        clock=iter(range(100)).__next__,
    )
    assert read == ["train"] and other.train == again.evidence.train


def test_the_interval_of_a_draw_holds_the_value_of_all_rows() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=5000)
    score = target + rng.standard_exponential(5000)
    inside = 0
    for seed in range(100):
        at = np.sort(rng.permutation(5000)[:2000])
        found = train_scores(target[at], Scored(score[at], None), ("mae",), of=5000, resamples=200, seed=seed)
        measured = found.scores["mae"]
        inside += measured.low <= np.abs(score - target).mean() <= measured.high
    assert 89 <= inside <= 99  # without the finite population correction, nearly all
    whole = train_scores(target, Scored(score, None), ("mae",), of=5000, resamples=200, seed=0).scores["mae"]
    assert whole.low == whole.value == whole.high


def test_the_gaps_interval_joins_both_sides() -> None:
    evidence = example_evidence()
    train = TrainScores(100, 1000, {"roc_auc": Measured(0.85, 0.85 - 0.003, 0.85 + 0.004)})
    gap = replace(evidence, train=train).gap("roc_auc")  # the holdout's: 0.75, 0.74 to 0.76
    assert (gap.value, gap.low, gap.high) == pytest.approx(
        (0.1, 0.1 - np.hypot(0.003, 0.01), 0.1 + np.hypot(0.004, 0.01))
    )

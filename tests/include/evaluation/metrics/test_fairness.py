from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain_run import declare as declare_parcels
from chain_run import month, run_chain
from fairlearn import metrics as fair
from pydantic import ValidationError
from sklearn import metrics as sk
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from include.config.load import load_model
from include.config.sections.evaluation import FairnessRule, Gate
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.evaluation.compared_models import load_model_file
from include.evaluation.comparison import compare
from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.gains import Fairness
from include.evaluation.metrics.fairness import PARITIES, fairness_of
from include.evaluation.report.card import render_card
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import draw
from include.registry.gate.judgement import judge
from include.registry.gate.verdicts import RuleResult
from include.registry.version_states import Outcome
from include.registry.versions import load_version
from include.storage.content import get_content
from include.storage.local import LocalStore
from include.training.fit_record import load_fit
from include.training.persistence.model_file import predict_scores
from tests.include.evaluation.examples import example_evidence, example_gain
from tests.include.evaluation.test_measure import declare

SPACE, TARGET = load_breast_cancer(return_X_y=True)
SCORE = LogisticRegression(max_iter=10_000).fit(SPACE[:100, :3], TARGET[:100]).predict_proba(SPACE[:, :3])[:, 1]
GROUPS = np.digitize(SPACE[:, 5], np.quantile(SPACE[:, 5], [0.4, 0.75]))
LEVELS = SliceLevels(("few", "many", "some"), GROUPS)
BY_FAIRLEARN = {name: getattr(fair, name) for name in PARITIES}


def measured(
    score: np.ndarray = SCORE, groups: np.ndarray = GROUPS, target: np.ndarray = TARGET
) -> dict[str, Fairness]:
    models = {"challenger": Scored(score, 0.5), "incumbent": Scored(1 - score, 0.4)}
    resampling = draw(np.arange(len(target)), resamples=400, seed=0)
    levels = SliceLevels(LEVELS.names[: groups.max() + 1], groups)
    found = fairness_of(target.astype(float), models, "size", levels, ("recall", "brier"), resampling, binary=True)
    return {f"{one.measure} {one.metric or ''}".strip(): one for one in found}


@pytest.mark.parametrize("measure", PARITIES)
def test_parities_equal_fairlearns_for_challenger_and_incumbent(measure: str) -> None:
    one = measured()[measure]
    for role, said in (("challenger", SCORE >= 0.5), ("incumbent", 1 - SCORE >= 0.4)):
        expected = BY_FAIRLEARN[measure](TARGET, said, sensitive_features=GROUPS)
        assert one.scores[role].value == pytest.approx(expected, abs=1e-9)
        assert one.scores[role].low < expected < one.scores[role].high or expected in (0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_parities_equal_fairlearns_on_drawn_answers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, groups = rng.random(len(TARGET)), rng.integers(3, size=len(TARGET))
    found = measured(score, groups)
    for measure in PARITIES:
        expected = BY_FAIRLEARN[measure](TARGET, score >= 0.5, sensitive_features=groups)
        assert found[measure].scores["challenger"].value == pytest.approx(expected, abs=1e-9)


def test_the_worst_group_is_that_of_fairlearns_metric_frame() -> None:
    found = measured()
    frame = fair.MetricFrame(metrics=sk.recall_score, y_true=TARGET, y_pred=SCORE >= 0.5, sensitive_features=GROUPS)
    assert found["group_minimum recall"].scores["challenger"].value == pytest.approx(frame.group_min())
    brier = fair.MetricFrame(metrics=sk.brier_score_loss, y_true=TARGET, y_pred=SCORE, sensitive_features=GROUPS)
    assert found["group_minimum brier"].scores["challenger"].value == pytest.approx(brier.group_max())


def test_each_groups_rates_are_kept() -> None:
    group = measured()["demographic_parity_difference"].rates[0]
    here = GROUPS == 0
    assert (group.group, group.support) == ("few", here.sum())
    rates = group.rates["challenger"]
    assert rates["selection_rate"].value == pytest.approx((SCORE >= 0.5)[here].mean())
    recall = sk.recall_score(TARGET[here], SCORE[here] >= 0.5)
    assert rates["true_positive_rate"].value == pytest.approx(recall)


def test_a_group_without_rows_of_a_class_leaves_what_needs_them_undefined() -> None:
    groups = np.where(TARGET == 1, GROUPS % 2, 0)
    found = measured(groups=groups)
    assert found["equalized_odds_difference"].scores["challenger"].value is None
    assert found["demographic_parity_difference"].scores["challenger"].value is not None


def test_a_group_in_which_few_get_it_all_right_is_not_said_to_be_treated_like_the_others_for_certain() -> None:
    target, groups = np.tile([1] * 12 + [0] * 188, 2), np.repeat([0, 1], 200)
    found = measured(np.where(target == 1, 0.9, 0.1), groups, target)
    most = 1 - 0.025 ** (1 / 12)  # Clopper and Pearson, of the positives of a group
    odds = found["equalized_odds_difference"].scores["challenger"]
    assert (odds.value, odds.low, odds.high) == (0, 0, pytest.approx(most))
    assert found["group_minimum recall"].scores["challenger"].low == pytest.approx(1 - most)
    rates = found["demographic_parity_difference"].rates[0].rates["challenger"]
    assert rates["true_positive_rate"].low == pytest.approx(1 - most)
    assert rates["false_positive_rate"].high == pytest.approx(1 - 0.025 ** (1 / 188))


def test_the_rate_of_a_groups_positives_is_as_uncertain_as_the_recall_of_that_slice() -> None:
    target, groups = np.tile([1.0] * 12 + [0.0] * 188, 2), np.repeat([0, 1], 200)
    score = np.where(target == 1, np.arange(400) % 3 > 0, 0) * 0.9
    models, levels = {"challenger": Scored(score, 0.5)}, SliceLevels(("few", "many"), groups)
    drawn = draw(np.arange(400), resamples=400, seed=0)
    (slice_, _) = compare(target, models, ("recall",), {"size": levels}, drawn, positives=True).slice_scores
    rates = measured(score, groups, target)["demographic_parity_difference"].rates[0].rates["challenger"]
    assert rates["true_positive_rate"] == slice_.scores["challenger"]["recall"]


def ruled(evidence: Evidence, **rule: Any) -> tuple[Outcome, RuleResult]:
    policy = Gate.model_validate({"primary": {"metric": "roc_auc"}, "fairness": [{"groups": "size", **rule}]})
    judgement = judge(policy, evidence, challenger_is_simple=True)
    (verdict,) = [verdict for verdict in judgement.verdicts if "by size" in verdict.rule]
    return judgement.outcome, verdict.answer


def evidence_with(found: dict[str, Fairness]) -> Evidence:
    gains = tuple(example_gain("roc_auc", role, estimate=0.1) for role in ("incumbent", "trivial", "simple"))
    return replace(example_evidence(), gains=gains, fairness=tuple(found.values()))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"measure": "demographic_parity_difference", "at_most": 0.9}, (Outcome.PROMOTE, RuleResult.PASS)),
        ({"measure": "demographic_parity_difference", "at_most": 0.01}, (Outcome.REJECT, RuleResult.FAIL)),
        ({"measure": "demographic_parity_ratio", "at_least": 0.99}, (Outcome.REJECT, RuleResult.FAIL)),
        ({"measure": "group_minimum", "metric": "recall", "at_least": 0.1}, (Outcome.PROMOTE, RuleResult.PASS)),
        ({"measure": "group_minimum", "metric": "brier", "at_most": 0.01}, (Outcome.REJECT, RuleResult.FAIL)),
    ],
)
def test_a_rule_passes_or_fails_by_the_whole_interval(
    rule: dict[str, Any], expected: tuple[Outcome, RuleResult]
) -> None:
    assert ruled(evidence_with(measured()), **rule) == expected


def test_what_was_not_measured_or_has_no_value_is_never_promoted() -> None:
    without = {"measure": "equalized_odds_difference", "at_most": 0.9}
    assert ruled(evidence_with({}), **without) == (Outcome.HOLD, RuleResult.OPEN)
    undefined = measured(groups=np.where(TARGET == 1, GROUPS % 2, 0))
    assert ruled(evidence_with(undefined), **without) == (Outcome.HOLD, RuleResult.OPEN)


def test_the_card_shows_groups_for_challenger_and_incumbent() -> None:
    evidence = evidence_with(measured())
    scores = {"challenger": evidence.scores["challenger"], "incumbent": evidence.scores["incumbent"]}
    card = render_card(replace(evidence, scores=scores), title="t", verdict="v", rules=(), lineage={})
    assert ">Fairness</h2>" in card and "Equalized odds difference" in card
    assert "Recall in the worst group" in card and '<th scope="row">few</th>' in card
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_rules_name_a_slice_and_what_they_need() -> None:
    with pytest.raises(ValidationError, match="only there"):
        FairnessRule(groups="a", measure="group_minimum", at_least=0.5)
    with pytest.raises(ValidationError, match="at_least` or `at_most"):
        FairnessRule(groups="a", measure="demographic_parity_ratio")
    with pytest.raises(ValidationError, match="did you mean `colour`"):
        declare(fairness=["color"])
    assert declare(fairness=["colour"]).fairness_groups == ("colour",)


def test_a_mitigation_is_measured_beside_the_same_recipe_without_it_on_the_holdout(tmp_path: Path) -> None:
    folder, store = tmp_path / "parcels", LocalStore(tmp_path / "store")
    declare_parcels(folder)
    text = (folder / "model.yaml").read_text()
    start, end = text.index("    - {estimator: logistic"), text.index("  cv:")
    mitigated = "    - {estimator: logistic_regression, fairness: {method: reweighing, column: carrier}}\n"
    text = text[:start] + mitigated + text[end:].replace("slices: [carrier]", "slices: [carrier], fairness: [carrier]")
    (folder / "model.yaml").write_text(text)
    model = load_model(folder / "model.yaml")
    done = run_chain(store, model, folder, month(5))
    evidence = load_evidence(store, model.name, done["evaluate"]["evidence"])
    fit = load_fit(store, model.name, load_version(store, model.name, done["select"]).fit)
    assert fit.unmitigated is not None and fit.unmitigated.model_file != fit.model_file
    snapshot = Snapshot.load(store, model.name, done["check"]["snapshot"])
    rows = read_rows(store, snapshot, model, folder, window="holdout")
    bare = load_model_file(store, model.name, fit.unmitigated.model_file)
    called = predict_scores(bare, rows[list(fit.columns)]) >= fit.unmitigated.threshold
    by_fairlearn = fair.demographic_parity_difference(
        rows["late"], called, sensitive_features=rows["carrier"].astype(str)
    )
    (parity,) = (one for one in evidence.fairness if one.measure == "demographic_parity_difference")
    assert parity.scores["unmitigated"].value == pytest.approx(by_fairlearn)
    assert parity.scores["challenger"].value < parity.scores["unmitigated"].value
    card = get_content(store, f"{model.name}/cards", ".html", done["gate"]["card"]).decode()
    assert "Without mitigation" in card

"""Each rule of the gate decides by itself: evidence that only it objects to is not promoted, and is promoted where it is left out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from worlds import evidence, gain

from include.config.sections.evaluation import FairnessRule, Gate, Primary, Require
from include.evaluation.evidence import EQUAL_ROWS, Evidence, TrainCoverage, Units, UnlabelledRows
from include.evaluation.explanation.results import BehaviourResult, TrainScores
from include.evaluation.gains import CanaryAnswers, Fairness, Measured, PredictionChurn, SliceScores
from include.leakage.tripwire import Tripwire
from include.registry.gate import fixed_rules, judgement
from include.registry.gate.judgement import judge
from include.registry.gate.verdicts import RuleResult, Verdict
from include.registry.version_states import Outcome

WORSE = {"trivial": 0.5, "simple": 0.55, "incumbent": 0.6}
LEVEL = ("origin", "LGA")


def around(value: float) -> Measured:
    return Measured(value, value - 0.02, value + 0.02)


@dataclass(frozen=True)
class Case:
    """Evidence to which one rule objects, and no other."""

    kind: str
    """A field of `Gate`, a function of `fixed_rules`, or a baseline."""
    rule: str
    """How the verdict's name begins."""
    outcome: Outcome
    policy: dict[str, Any] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=lambda: dict(WORSE))
    facts: dict[str, Any] = field(default_factory=dict)
    more: Callable[[Evidence], Any] = lambda evidence: None
    primary: dict[str, Any] = field(default_factory=dict)
    left: float = 0.0

    def judge(self, policy: dict[str, Any]) -> judgement.Judgement:
        made = evidence(0.75, self.others, incumbent="incumbent", **self.facts)
        self.more(made)
        rules = Gate.model_validate({"primary": {"metric": "roc_auc", **self.primary}, **policy})
        return judge(rules, made, challenger_is_simple=False, left=self.left)


def parity(measure: str, value: float, metric: str | None = None) -> dict[str, Any]:
    return {"fairness": (Fairness("sex", measure, metric, {"challenger": around(value)}),)}


def recall_of_the_incumbent(made: Evidence) -> None:
    made.scores["incumbent"]["recall"] = Measured(0.5, 0.48, 0.52)


CASES = {
    "primary, better": Case("primary", "roc_auc better than the incumbent", Outcome.REJECT, others=WORSE | {"incumbent": 0.8}),
    "primary, better, too few rows": Case("primary", "roc_auc better than the incumbent", Outcome.HOLD, others=WORSE | {"incumbent": 0.74}),
    "primary, not_worse": Case(
        "primary", "roc_auc not worse than the incumbent", Outcome.REJECT, others=WORSE | {"incumbent": 0.8},
        primary={"rule": "not_worse", "margin": 0.01},
    ),
    "trivial": Case("trivial", "roc_auc better than the trivial", Outcome.REJECT, others=WORSE | {"trivial": 0.8}),
    "simple": Case("simple", "roc_auc better than the simple", Outcome.REJECT, others=WORSE | {"simple": 0.8}),
    "pooled": Case("pooled", "roc_auc better than the model of all", Outcome.REJECT, others=WORSE | {"pooled": 0.8}),
    "require, at_least": Case("require", "roc_auc", Outcome.REJECT, {"require": [{"metric": "roc_auc", "at_least": 0.8}]}),
    "require, at_most": Case("require", "roc_auc", Outcome.REJECT, {"require": [{"metric": "roc_auc", "at_most": 0.7}]}),
    "require, not measured": Case("require", "recall", Outcome.HOLD, {"require": [{"metric": "recall", "at_least": 0.1}]}),
    "guards": Case(
        "guards", "recall", Outcome.REJECT, {"guards": [{"metric": "recall", "max_loss": 0.02}]},
        facts={"extra": (gain("incumbent", -0.1, metric="recall"),)},
    ),
    "guards, a share": Case(
        "guards", "recall", Outcome.REJECT, {"guards": [{"metric": "recall", "max_loss": "2%"}]},
        facts={"extra": (gain("incumbent", -0.1, metric="recall"),)}, more=recall_of_the_incumbent,
    ),
    "guards, a slice": Case(
        "guards", "roc_auc", Outcome.REJECT, {"guards": [{"metric": "roc_auc", "slice": "origin", "max_loss": 0.02}]},
        facts={
            "extra": (gain("incumbent", -0.1, slice=LEVEL, support=500),),
            "slice_scores": (SliceScores(*LEVEL, support=500, positives=10, scores={}),),
        },
    ),
    "guards, a slice that must be verified": Case(
        "guards", "roc_auc", Outcome.HOLD,
        {"guards": [{"metric": "roc_auc", "slice": "origin", "max_loss": 0.02, "required": True}]},
        facts={
            "extra": (gain("incumbent", 0.1, slice=LEVEL, support=50),),
            "slice_scores": (SliceScores(*LEVEL, support=50, positives=10, scores={}),),
        },
    ),
    "fairness, demographic_parity_difference": Case(
        "fairness", "demographic parity difference", Outcome.REJECT,
        {"fairness": [{"groups": "sex", "measure": "demographic_parity_difference", "at_most": 0.1}]},
        facts=parity("demographic_parity_difference", 0.3),
    ),
    "fairness, demographic_parity_ratio": Case(
        "fairness", "demographic parity ratio", Outcome.REJECT,
        {"fairness": [{"groups": "sex", "measure": "demographic_parity_ratio", "at_least": 0.8}]},
        facts=parity("demographic_parity_ratio", 0.5),
    ),
    "fairness, equalized_odds_difference": Case(
        "fairness", "equalized odds difference", Outcome.REJECT,
        {"fairness": [{"groups": "sex", "measure": "equalized_odds_difference", "at_most": 0.1}]},
        facts=parity("equalized_odds_difference", 0.3),
    ),
    "fairness, group_minimum": Case(
        "fairness", "recall in the worst group", Outcome.REJECT,
        {"fairness": [{"groups": "sex", "measure": "group_minimum", "metric": "recall", "at_least": 0.6}]},
        facts=parity("group_minimum", 0.4, "recall"),
    ),
    "churn": Case(
        "churn", "prediction churn", Outcome.REJECT, {"churn": {"at_most": 0.02}},
        facts={"churn": (PredictionChurn(None, 10_000, Measured(0.05, 0.04, 0.06)),)},
    ),
    "overfitting": Case(
        "overfitting", "gap of roc_auc", Outcome.REJECT, {"overfitting": {"max_gap": 0.05}},
        facts={"train": TrainScores(1000, 1000, {"roc_auc": around(0.99)})},
    ),
    "unlabelled": Case(
        "unlabelled", "at most 5.0% of the holdout", Outcome.HOLD, {"unlabelled": {"at_most": 0.05}},
        facts={"unlabelled": (UnlabelledRows(None, 10_000, 2000),)},
    ),
    "unlabelled, a level": Case(
        "unlabelled", "at most 5.0% of the holdout", Outcome.HOLD, {"unlabelled": {"at_most": 0.05}},
        facts={"unlabelled": (UnlabelledRows(None, 10_000, 200), UnlabelledRows(LEVEL, 500, 200))},
    ),
    "model_size": Case("model_size", "model size", Outcome.REJECT, {"model_size": {"at_most": 999}}),
    "canary": Case(
        "canary", "roc_auc of answered requests", Outcome.REJECT, {"canary": {"max_loss": 0.02}},
        facts={
            "canary": CanaryAnswers(
                "roc_auc", "customer", 0.1, {"challenger": 900, "incumbent": 9000}, {"challenger": 90, "incumbent": 900},
                {"challenger": around(0.6), "incumbent": around(0.8)}, "files",
            )
        },
    ),
    "canary, not asked yet": Case("canary", "roc_auc of answered requests", Outcome.HOLD, {"canary": {"max_loss": 0.02}}),
    "lifetime": Case("lifetime", "roc_auc better than the incumbent", Outcome.HOLD, {"lifetime": {"wrong_promotions": "0.1/y"}}),
    "different_rows": Case(
        "different_rows", "different rows in the holdout", Outcome.HOLD, facts={"units": Units(EQUAL_ROWS, 3, 3)}
    ),
    "covered_windows": Case(
        "covered_windows", "at least 90%", Outcome.HOLD, facts={"coverage": TrainCoverage(10, 5, 0.9)}
    ),
    "leakage_verdicts": Case(
        "leakage_verdicts", "leak tripwire shared_rows", Outcome.REJECT,
        facts={"tripwires": (Tripwire("shared_rows", "tripped", "3 rows are in both", "drop them"),)},
    ),
    "leakage_verdicts, not looked at": Case(
        "leakage_verdicts", "leak tripwire shared_rows", Outcome.HOLD,
        facts={"tripwires": (Tripwire("shared_rows", "unknown", "the rows are gone", "restore them"),)},
    ),
    "behaviour_verdicts": Case(
        "behaviour_verdicts", "invariance sex", Outcome.REJECT,
        facts={"behaviours": (BehaviourResult("sex", "invariance", "broken", 100, 30, "30 of 100 rows changed"),)},
    ),
}  # fmt: skip

BASELINES = {"trivial", "simple", "pooled"}
FIXED = {
    name
    for name, rule in inspect.getmembers(fixed_rules, inspect.isfunction)
    if rule.__module__ == fixed_rules.__name__ and not name.startswith("_")
} - {"labelled_rows"}
"""Rules that hold with any policy; that on labels is asked by `gate.unlabelled` alone."""


def without(case: Case, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Leave the rule of a case out, and return the policy that is left."""
    if case.kind in FIXED:
        patch.setattr(judgement, case.kind, lambda *_: ())
    elif case.kind in BASELINES | {"primary"}:
        told = judgement.policy_verdicts

        def rest(*of: Any, **named: Any) -> Iterator[Verdict]:
            return (one for one in told(*of, **named) if not one.rule.startswith(case.rule))

        patch.setattr(judgement, "policy_verdicts", rest)
    return {name: rules for name, rules in case.policy.items() if name != case.kind}


@pytest.mark.parametrize("name", CASES)
def test_what_one_rule_alone_objects_to_is_promoted_without_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    found = case.judge(case.policy)
    objecting = [verdict for verdict in found.verdicts if verdict.answer is not RuleResult.PASS]
    assert [verdict.rule.startswith(case.rule) for verdict in objecting] == [True], "this rule, and no other"
    assert found.outcome is case.outcome is not Outcome.PROMOTE
    assert found.reason.startswith(objecting[0].rule)
    assert case.judge(without(case, monkeypatch)).outcome is Outcome.PROMOTE


def test_every_rule_that_there_is_has_a_case() -> None:
    """A field of the policy, a rule that holds with any policy, or a word of a rule that is new needs a case here."""
    kinds = {case.kind for case in CASES.values()}
    assert kinds == (set(Gate.model_fields) - {"approval"}) | FIXED | BASELINES, "approval decides nothing on evidence"
    declared = [rules for case in CASES.values() for rules in case.policy.get("fairness", ())]
    assert {rules["measure"] for rules in declared} == set(get_args(FairnessRule.model_fields["measure"].annotation))
    words = {case.primary.get("rule", "better") for case in CASES.values()}
    assert words == set(get_args(Primary.model_fields["rule"].annotation))
    bounds = {word for case in CASES.values() for rules in case.policy.get("require", ()) for word in rules}
    assert bounds == set(Require.model_fields)


def test_evidence_that_cannot_be_compared_is_not_promoted_whatever_the_rules_say() -> None:
    facts = {"comparable": False, "incomparable_because": "it saw the holdout"}
    case = Case("comparable", "", Outcome.INCOMPARABLE, facts=facts)
    assert case.judge({}).outcome is Outcome.INCOMPARABLE
    assert Case("comparable", "", Outcome.PROMOTE).judge({}).outcome is Outcome.PROMOTE

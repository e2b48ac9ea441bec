"""The gate's error holds for all segments of a run together, whatever their rows have in common."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from worlds import FLIGHTS, gain

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.rows.segments import Segments, declared_for, segment_key, segment_name
from include.errors import ConfigError
from include.registry.gate.bounds import gain_verdict
from include.registry.gate.verdicts import RuleResult

RUNS, FAMILY, ERROR = 1500, 50, 0.01
SEGMENTED = FLIGHTS.model_copy(update={"segments": Segments(column="dest")})


def wrong(confidence: float, shared: float, answer: RuleResult) -> float:
    """Return in what share of runs any segment with equal models gets this answer; gains of segments have a part in common."""
    rng = np.random.default_rng(11)
    common, own = rng.normal(size=(RUNS, 1)), rng.normal(size=(RUNS, FAMILY))
    gains = ERROR * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
    return float(
        np.mean(
            [
                any(
                    gain_verdict("better", gain("pooled", one), 0.0, confidence, strict=True).answer is answer
                    for one in run
                )
                for run in gains
            ]
        )
    )


@pytest.mark.parametrize("answer", [RuleResult.PASS, RuleResult.FAIL])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_of_fifty_segments_with_equal_models_any_is_decided_wrongly_no_more_often_than_one_may_be(
    answer: RuleResult, shared: float
) -> None:
    allowed = 1 - FLIGHTS.gate.primary.confidence
    tolerance = 3 * np.sqrt(allowed * (1 - allowed) / RUNS)
    confidence = declared_for(SEGMENTED, "a", FAMILY).gate.primary.confidence
    assert wrong(confidence, shared, answer) <= allowed + tolerance


def test_undivided_it_would_err_in_nearly_every_run() -> None:
    assert wrong(FLIGHTS.gate.primary.confidence, 0.0, RuleResult.PASS) > 0.85


@pytest.mark.parametrize("family", [1, 2, 7, 50])
def test_the_shares_add_up_to_the_error_of_one_gate(family: int) -> None:
    declared = declared_for(SEGMENTED, "a", family)
    level = 1 - declared.gate.primary.confidence
    assert family * level == pytest.approx(1 - FLIGHTS.gate.primary.confidence)
    assert declared.evaluation.resamples * level >= 9.99
    tail = NormalDist().inv_cdf(declared.gate.primary.confidence)
    assert gain("pooled", 0.0).bound(declared.gate.primary.confidence) == pytest.approx(-tail * ERROR), "it is kept"


def test_wrong_promotions_of_a_lifetime_are_shared_as_well() -> None:
    gate = FLIGHTS.gate.model_validate({**FLIGHTS.gate.said(), "lifetime": {"wrong_promotions": "0.5/y"}})
    declared = declared_for(SEGMENTED.model_copy(update={"gate": gate}), "a", 20)
    assert declared.gate.lifetime is not None
    assert declared.gate.lifetime.wrong_promotions.a_year == pytest.approx(0.5 / 20)
    assert ModelConfig.model_validate(declared.to_json()) == declared, "its stored form is read again"


@pytest.mark.parametrize(
    ("level", "name"),
    [
        ("ua", "ua"),
        ("UA", "ua-1cf587e0"),
        (7, "7"),
        (True, "true-3cbc87c7"),
        ("", "level-e3b0c442"),
        ("../x", "x-d6b96a97"),
    ],
)
def test_a_level_has_a_name_that_is_safe_in_keys(level: str | int | bool, name: str) -> None:
    assert segment_name(level) == name
    assert segment_key("m", name) == segment_key("m", str(level)) == f"m/segments/{name}", "by its name or by its level"


def test_no_two_levels_share_a_name() -> None:
    levels = [
        "ua",
        "UA",
        "Ua",
        "u a",
        "u_a",
        "ü",
        "ue",
        "",
        " ",
        "a/b",
        "a_b",
        "ua-1cf587e0",
        "x" * 80,
        "x" * 81,
        "é",
        "e",
    ]
    assert len({segment_name(level) for level in levels}) == len(levels)


MISTAKES = {
    "segments: {column: late}": "the target",
    "segments: {column: dest, at_most: 51}": "`segments.at_most` of 50 or less",
    "segments: {column: dest}\nretention: {versions: 24mo}": "no `retention.versions`",
    "segments: {column: dest, minrows: 3}": "did you mean `min_rows`",
    "segments: {column: dest, otherwise: poled}": "did you mean `pooled`|expected 'pooled'",
}


@pytest.mark.parametrize(("declared", "said"), MISTAKES.items())
def test_what_has_no_meaning_for_segments_is_refused(declared: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "flight_delay" / "model.yaml"
    path.parent.mkdir()
    source = Path(__file__).parents[3] / "include" / "models" / "flight_delay" / "model.yaml"
    path.write_text(f"{source.read_text()}\n{declared}\n")
    with pytest.raises(ConfigError, match=said):
        load_model(path)


def test_approvals_are_refused_with_segments(tmp_path: Path) -> None:
    path = tmp_path / "flight_delay" / "model.yaml"
    path.parent.mkdir()
    source = Path(__file__).parents[3] / "include" / "models" / "flight_delay" / "model.yaml"
    text = source.read_text().replace("gate:\n", "gate:\n  approval: always\n")
    path.write_text(f"{text}\nsegments: {{column: dest}}\n")
    with pytest.raises(ConfigError, match=r"expected `gate.approval: never`"):
        load_model(path)


def test_declaring_segments_decides_no_version_of_all_rows_again() -> None:
    assert SEGMENTED.identity == FLIGHTS.identity
    assert "segments" not in FLIGHTS.to_json()

"""Classes that a model can't know: of the holdout alone, or sold no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calls import World

from include.evaluation.scored_rows import Scored, of_classes

THREE = ["bills", "repairs", "sales"]


def test_rows_of_a_class_that_only_the_holdout_has_are_errors_and_are_named(tmp_path: Path) -> None:
    known = World(tmp_path / "known", THREE, "accuracy")
    other = World(tmp_path / "other", THREE, "accuracy")
    other.rename([3], "sales", "rentals", most=40)
    plain, _ = known.run(4)
    evidence, _ = other.run(4)
    assert evidence.classes == (*THREE, "rentals") and evidence.comparable
    assert evidence.holdout.rows == plain.holdout.rows
    right = plain.scores["challenger"]["accuracy"].value * plain.holdout.rows
    found = evidence.scores["challenger"]["accuracy"].value * evidence.holdout.rows
    said = plain.curves["challenger"].matrix
    assert right - 40 <= found <= right and said is not None
    assert evidence.curves["challenger"].matrix[3][3] == 0 and sum(evidence.curves["challenger"].matrix[3]) == 40
    (note,) = [one for one in evidence.notes if "can't know" in one]
    assert "40 of" in note and "rentals (40)" in note


def test_the_next_training_knows_the_class_and_is_compared_with_the_incumbent_that_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, THREE, "accuracy")
    world.run(4)
    world.rename([5, 6, 7], "sales", "rentals")
    evidence, done = world.run(8)
    assert evidence.incumbent is not None and evidence.comparable
    assert evidence.scores["incumbent"]["accuracy"].value < evidence.scores["challenger"]["accuracy"].value - 0.2
    assert done["gate"]["outcome"] == "PROMOTE"


def test_a_class_that_is_sold_no_more_keeps_no_incumbent_from_being_compared(tmp_path: Path) -> None:
    world = World(tmp_path, [*THREE, "rentals"], "accuracy")
    world.run(4)
    world.rename([5, 6, 7], "rentals", "sales")
    evidence, _ = world.run(8)
    assert evidence.incumbent is not None and evidence.comparable and evidence.classes == tuple(THREE)


def test_of_two_classes_a_third_in_the_holdout_is_a_decision_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path, ["no", "yes"], "accuracy")
    world.rename([3], "yes", "maybe", most=3)
    evidence, done = world.run(4)
    assert done["gate"]["outcome"] == "INCOMPARABLE"
    assert "`maybe` (3 rows)" in evidence.incomparable_because and "next training" in evidence.remedy
    assert evidence.scores["challenger"]["accuracy"].value > 0.7
    again, done = world.run(5)
    assert again.comparable and again.classes == ("maybe", "no", "yes")


def test_two_classes_are_compared_with_an_incumbent_that_knew_a_third(tmp_path: Path) -> None:
    world = World(tmp_path, ["no", "yes"], "accuracy")
    world.rename([1], "yes", "maybe", most=30)
    world.run(4)
    evidence, _ = world.run(6)
    assert evidence.classes == ("no", "yes") and evidence.comparable
    assert evidence.scores["incumbent"]["accuracy"].value == pytest.approx(
        evidence.scores["challenger"]["accuracy"].value, abs=0.1
    )


def test_scores_of_the_same_two_classes_turn_round_with_the_positive() -> None:
    score = np.array([0.0, 0.3, 0.7, 1.0])
    turned = of_classes(Scored(score, 0.7), ("no", "yes"), ("yes", "no"))
    assert turned.score.tolist() == (1 - score).tolist()
    assert turned.said.tolist() == [True, True, False, False]


def test_a_class_that_a_model_does_not_know_has_no_probability() -> None:
    score = np.array([[0.2, 0.5, 0.3]])
    asked = of_classes(Scored(score, None), ("a", "b", "c"), ("c", "a", "d"))
    assert asked.score.tolist() == [[0.3, 0.2, 0.0]]
    two = of_classes(Scored(score, None), ("a", "b", "c"), ("a", "c"))
    assert two.score.tolist() == [pytest.approx(0.6)] and two.threshold == 0.5
    three = of_classes(Scored(np.array([0.4]), 0.5), ("a", "b"), ("a", "b", "c"))
    assert three.score.tolist() == [[0.6, 0.4, 0.0]]

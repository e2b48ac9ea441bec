"""Which values of the target are classes, and which of two is the positive one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.config.sections.data import Data
from include.errors import TrainingError
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.preprocessing.target import check_classes, count_classes, find_classes
from include.training.training_rows import training_rows
from tests.include.training.conftest import declare, frame_of, snapshot_of


@pytest.mark.parametrize(
    "levels",
    [
        ("yes", "no", "yes "),
        ("yes", "no", "Yes"),
        ("caf\u00e9", "tea", "cafe\u0301"),
        ("yes", "no", "ye\u200bs"),
        ("on time", "late", "on  time"),
    ],
    ids=["trailing blank", "case", "composed and decomposed", "zero width", "two blanks"],
)
def test_classes_that_look_alike_are_refused_with_their_rows(levels: tuple[str, ...]) -> None:
    column = pd.Series([levels[0]] * 3 + [levels[1]] * 2 + [levels[2]], name="late")
    with pytest.raises(TrainingError, match="look alike") as raised:
        check_classes(count_classes(column), None, "late")
    assert f"{levels[0]!a} (3 rows)" in str(raised.value) and f"{levels[2]!a} (1 rows)" in str(raised.value)


@pytest.mark.parametrize(
    "classes", [("no", "yes"), ("No", "Yes"), (False, True), (0, 1), (0.0, 1.0), ("f", "t"), ("-1", "1")], ids=str
)
def test_yes_and_no_and_their_like_need_no_declaration_of_the_positive(classes: tuple[object, object]) -> None:
    column = pd.Series([*classes, classes[0]], name="late")
    check_classes(count_classes(column), None, "late")
    assert find_classes(column) == classes


@pytest.mark.parametrize("classes", [("no", "YES"), ("n", "Y"), ("false", "TRUE")], ids=str)
def test_a_no_that_comes_after_its_yes_is_not_taken_for_the_positive(classes: tuple[str, str]) -> None:
    column = pd.Series([*classes, classes[0]], name="late")
    with pytest.raises(TrainingError, match="positive one is not declared"):
        check_classes(count_classes(column), None, "late")
    assert find_classes(column, classes[1]) == classes


def test_two_classes_that_say_nothing_of_which_is_positive_are_refused_until_it_is_declared() -> None:
    column = pd.Series(["Existing", "Existing", "Attrited"], name="status")
    with pytest.raises(TrainingError, match="positive one is not declared") as raised:
        check_classes(count_classes(column), None, "status")
    assert "`data: {positive: Attrited}` or `data: {positive: Existing}`" in str(raised.value)
    check_classes(count_classes(column), "Attrited", "status")
    assert find_classes(column, "Attrited") == ("Existing", "Attrited")
    assert find_classes(column, "Existing") == ("Attrited", "Existing")


@pytest.mark.parametrize(("positive", "classes"), [("Gone", ["a", "b"]), ("a", ["a", "b", "c"])])
def test_a_positive_that_is_none_of_two_classes_is_refused(positive: str, classes: list[str]) -> None:
    with pytest.raises(TrainingError, match="is not one of two classes"):
        find_classes(pd.Series(classes, name="status"), positive)


def test_classes_that_the_record_of_a_fit_cannot_hold_are_refused_before_anything_is_fitted(
    store: LocalStore, tmp_path: Path
) -> None:
    frame = frame_of()
    frame["target"] = np.where(frame["target"], 2**53, 2**53 - 1)
    model = declare()
    with pytest.raises(TrainingError, match=r"below 2\^53"):
        fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")


def test_three_classes_need_no_positive() -> None:
    check_classes({"red": 3, "green": 2, "blue": 1}, None, "colour")


def test_the_declared_positive_is_what_probabilities_are_of_and_part_of_the_recipes_key() -> None:
    model = declare("classification", training={"candidates": [{"estimator": "logistic_regression"}]})
    frame = frame_of("classification")
    swapped = model.model_copy(update={"data": Data.model_validate({**model.data.said(), "positive": False})})
    plain, turned = recipe_of(model, "logistic_regression"), recipe_of(swapped, "logistic_regression")
    one, other = training_rows(frame, plain), training_rows(frame, turned)
    assert other.classes == one.classes[::-1]
    assert ((one.target + other.target) == 1).all()
    assert plain.key_with("s", "c", {}) != turned.key_with("s", "c", {})


def test_what_release_0_1_could_not_declare_is_no_part_of_a_key() -> None:
    model = declare("classification", training={"candidates": [{"estimator": "logistic_regression"}]})
    recipe = recipe_of(model, "logistic_regression")
    assert recipe.positive is None
    assert "positive" not in model.data.said() and "positive" not in model.data.model_dump(mode="json")


@pytest.mark.parametrize(
    ("candidate", "moved", "count"),
    [
        ({"estimator": "poisson"}, -1.0, 65),
        ({"estimator": "hist_gradient_boosting", "params": {"loss": "gamma"}}, 0.0, 1),
        ({"estimator": "lightgbm", "params": {"objective": "poisson"}}, -1.0, 65),
    ],
    ids=["poisson", "loss", "objective"],
)
def test_a_target_that_a_distribution_does_not_have_is_refused_with_the_true_reason(candidate, moved, count) -> None:
    frame = frame_of("regression")
    frame["target"] = frame["target"] - (
        frame["target"].min() if moved == 0.0 else frame["target"].nsmallest(count + 1).iloc[-1]
    )
    (name,) = (model := declare("regression", training={"candidates": [candidate]})).candidate_names
    with pytest.raises(TrainingError, match="not possible under the loss of") as raised:
        training_rows(frame, recipe_of(model, name))
    assert f"{count} of 400 rows" in str(raised.value)
    assert len(training_rows(frame_of("regression"), recipe_of(model, name))) == 400


def test_a_target_that_never_changes_is_said(caplog: pytest.LogCaptureFixture) -> None:
    model = declare("regression", training={"candidates": [{"estimator": "ridge"}]})
    training_rows(frame_of("regression").assign(target=3.5), recipe_of(model, "ridge"))
    assert "is the same in all 400 training rows" in caplog.text

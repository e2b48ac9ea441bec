"""Labelled rows of classes that are not in the training rows: counted as errors, or left out.

In multiclass problems such a class is an additional one, whose probability is zero. In binary problems there is no third class: the
model predicts whether a row is of the positive class, and the cost of a row of neither class is not declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.data.rare_levels import ALL_NAMED, OTHER_LEVELS, RareLevels
from include.evaluation.scored_rows import Scored, of_classes
from include.training.preprocessing.category_encoder import category_name
from include.training.preprocessing.target import as_numbers, count_classes

Array = NDArray[Any]

NAMED = 5
"""Classes that a sentence names."""


class JudgedRows(NamedTuple):
    """Labelled rows as a model is judged by them.

    Parameters
    ----------
    classes : tuple or None
        What ``target`` has places in: the model's, and after them those that only these rows have. None of numbers.
    kept : array of bool, of shape (n_all,)
        Which of the rows can be judged.
    target : array of shape (n_rows,)
    scored : Scored
        Of the kept rows, with a column for each of ``classes`` where there are more than two.
    unknown : dict of str to int
        The classes that the model can't know, with their rows.
    """

    classes: tuple[Any, ...] | None
    kept: Array
    target: Array
    scored: Scored
    unknown: dict[str, int]


def find_unknown(column: pd.Series[Any], classes: tuple[Any, ...]) -> dict[Any, int]:
    """Return the values of a target that are none of ``classes``, in order, with their rows."""
    counts = count_classes(column)
    return {value: counts[value] for value in sorted(counts, key=category_name) if value not in classes}


def name_unknown(column: pd.Series[Any], strange: Mapping[Any, int], rare: RareLevels) -> dict[str, int]:
    """Return the names of classes that a model can't know, with their rows; those of too few people together.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
        The target.
    strange : mapping of class to int
        As `find_unknown` returns them.
    rare : RareLevels
        Of these rows.
    """
    codes = pd.Index(list(strange), dtype=object).get_indexer(column.astype(object))
    few = rare.among(codes, len(strange))
    named: dict[str, int] = {}
    for (value, rows), alone in zip(strange.items(), few, strict=True):
        name = OTHER_LEVELS if alone else category_name(value)
        named[name] = named.get(name, 0) + rows
    return named


def name_classes(classes: Sequence[Any], own: Sequence[Any], unknown: Mapping[str, int]) -> tuple[str, ...]:
    """Return the name of each class: its own for classes of the model and of ``unknown``, one common name for all others."""
    return tuple(str(value) if value in own or category_name(value) in unknown else OTHER_LEVELS for value in classes)


def judged_rows(
    column: pd.Series[Any], scored: Scored, classes: tuple[Any, ...] | None, rare: RareLevels = ALL_NAMED
) -> JudgedRows:
    """Return labels and scores of rows as a model is judged by them.

    Parameters
    ----------
    column : pandas.Series of shape (n_all,)
        The target, without missing values.
    scored : Scored
        What the model says of the rows, of its own classes.
    classes : tuple or None
        Those that the model knows; None of numbers.
    rare : RareLevels
        Of these rows: of the classes that the model can't know, those of too few people are not named.
    """
    kept = np.ones(len(column), dtype=bool)
    if classes is None:
        return JudgedRows(None, kept, column.to_numpy(dtype=float), scored, {})
    strange = find_unknown(column, classes)
    unknown = name_unknown(column, strange, rare)
    asked = (*classes, *strange) if len(classes) > 2 else classes
    if strange and asked == classes:
        kept = column.isin(classes).to_numpy()
        column, scored = column[kept], Scored(scored.score[kept], scored.threshold)
    target = as_numbers(column, asked).astype(float)
    return JudgedRows(asked, kept, target, of_classes(scored, classes, asked), unknown)


def say_unknown(unknown: Mapping[str, int], whose: str, rows: str, *, counted: bool) -> str:
    """Return a sentence about rows of classes that a model can't know.

    Parameters
    ----------
    unknown : mapping of str to int
        The classes with their rows.
    whose : str
        The model, such as ``challenger``.
    rows : str
        What the rows are among, such as ``1,200 holdout rows``.
    counted : bool
        Whether they count as errors; else they were left out.
    """
    count = sum(unknown.values())
    named = ", ".join(f"{name} ({number:,})" for name, number in list(unknown.items())[:NAMED])
    if not counted:
        return f"{count:,} rows of classes that the {whose} can't know were left out of the {rows}: {named}."
    return (
        f"{count:,} of {rows} are of classes that the {whose} can't know, since no training row has "
        f"them: {named}. They count as errors of it; the next training whose window reaches them knows them."
    )

"""Choose the task, features, row ids and folds of a drafted model from the profile of its rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.config.sections.rows.lake import DeltaSource, IcebergSource
from include.config.sections.rows.sources import FilesSource, SqlSource
from include.config.sections.training import CrossValidation
from include.drafting.declaration import Plan
from include.drafting.periods import periods_of
from include.drafting.profile import ColumnFacts, Profile, looks_like_an_id
from include.errors import ConfigError
from include.training.preprocessing.target import MOST_CLASSES, check_classes, has_plain_positive

_MOST_NUMBERS = 20
"""Whole numbers with more different values are a quantity."""
_MOST_LEVELS = 200
_MOST_CODES = 50
_ENTITY = re.compile(r"(?i:(^|_)(id|key|uuid|guid)|_number|nr|nummer)$|[a-z](Id|ID|Key|Number)$")
_FOLDS = 5


def plan_of(
    name: str,
    source: FilesSource | SqlSource | DeltaSource | IcebergSource,
    seen: Profile,
    target: str,
    event_time: str | None,
    now: datetime,
) -> tuple[Plan, dict[str, str]]:
    """Return what to declare, and the columns that are left out with the reason of each.

    Parameters
    ----------
    name : str
        The model's name.
    source : FilesSource, SqlSource, DeltaSource or IcebergSource
        Where the rows are, and how files are written.
    seen : Profile
        What the rows look like.
    target : str
        The column to predict.
    event_time : str or None
        The column that says when a row happened.
    now : datetime
        The instant of drafting.

    Raises
    ------
    ConfigError
        When the target is none, no column is left to learn from, or nothing tells the rows apart.
    """
    classes = _classes(target, seen.columns[target])
    row_id = _row_id(seen, target, event_time)
    ids = [column for column in row_id if _is_id(seen, column)]
    numeric, categorical, left_out = [], [], {column: "it names the row" for column in ids if column != event_time}
    for column, facts in seen.columns.items():
        if column in (target, event_time, *ids):
            continue
        if facts.missing == seen.rows:
            left_out[column] = "it has no value"
        elif _names_an_entity(column, facts):
            left_out[column] = "by its name it says what a row is about; `data.entity` keeps its rows on one side"
        elif facts.type in ("integer", "float", "boolean"):
            numeric.append(column)
        elif facts.type == "string" and facts.levels is not None and len(facts.levels) <= _MOST_LEVELS:
            categorical.append(column)
        elif facts.type == "string":
            left_out[column] = why_text(facts) or f"more than {_MOST_LEVELS} different texts"
        else:
            left_out[column] = "a time; `features.dates` makes numbers of it"
    if seen.nameless:
        left_out["(no name)"] = "the header gives it none"
    if not numeric and not categorical:
        raise ConfigError(
            "The file has no column to learn from.",
            expected=f"numbers, or texts with at most {_MOST_LEVELS} different values, beside the target",
            found="; ".join(f"{column}: {why}" for column, why in left_out.items()) or "no other column",
        )
    plan = Plan(
        name=name,
        source=source,
        task="classification" if classes else "regression",
        classes=classes,
        target=target,
        positive=_positive(seen.columns[target]) if classes else None,
        columns={column: facts.guess for column, facts in seen.columns.items()},
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        row_id=row_id,
        event_time=event_time,
        repeated=0.0 if row_id or event_time else seen.names.repeated(),
        periods=None if seen.times is None else periods_of(seen.times, now),
        cv=_folds(seen.columns[target]) if classes and event_time is None else None,
        today=now,
    )
    return plan, left_out


def _names_an_entity(name: str, facts: ColumnFacts) -> bool:
    """Tell whether whole numbers name what rows are about, such as `customer_id`, so that their size means nothing."""
    many = facts.levels is None or len(facts.levels) > _MOST_CODES
    return facts.type == "integer" and many and bool(_ENTITY.search(name))


def why_text(facts: ColumnFacts) -> str | None:
    """Return why a column that is nearly all numbers is none, so that it is not lost without a word."""
    if not facts.numbers:
        return None
    if facts.odd is None:
        return f"all {facts.numbers:,} texts look like numbers, but not with the same marks; or they are ids, as `007` is one"
    share = f"{facts.numbers:,} texts look like numbers, others like `{facts.odd}`"
    return f"{share}: say it is `missing`, or correct it, and declare the column as a number"


def _classes(target: str, facts: ColumnFacts) -> int:
    """Return how many classes the target has, 0 if it is a number to predict."""
    if facts.type in ("date", "timestamp"):
        raise ConfigError(
            f"The target `{target}` is a time.",
            expected="classes, or a number",
            remedy="give the file a column with what is to be predicted, such as days until then",
        )
    if facts.guess.others and facts.guess.column.marked:
        raise ConfigError(
            f"What stands before the decimals of `{target}`, a point or a comma?",
            expected="numbers that mean one value",
            found="values such as `9,999`, which both can be",
            remedy="say `--decimal ,` or `--decimal .`",
        )
    levels = len(facts.levels) if facts.levels is not None else None
    if facts.type == "float" or (facts.type == "integer" and (levels is None or levels > _MOST_NUMBERS)):
        return 0
    if levels is None or levels > MOST_CLASSES:
        raise ConfigError(
            f"The target `{target}` has too many different texts for classes, and texts are no numbers.",
            expected=f"2 to {MOST_CLASSES} classes, or a number in every row",
            found=f"{levels:,}" if levels is not None else "more than 10,000",
            remedy="write the numbers as such, or join rare classes where the file is made",
        )
    if levels < 2:
        raise ConfigError(
            f"There is nothing to predict: the target `{target}` has " + ("one value." if levels else "no value."),
            expected="two classes or more, or a number",
        )
    check_classes(facts.levels or {}, _positive(facts), target)
    return levels


def _positive(facts: ColumnFacts) -> str | int | bool | None:
    """Return the rarer of two classes, where their names do not say which is the positive one."""
    levels: Mapping[Any, int] = facts.levels or {}
    if len(levels) != 2 or has_plain_positive(levels):
        return None
    rarer: str | int | bool = min(levels, key=lambda value: (levels[value], str(value)))
    return rarer


def _row_id(seen: Profile, target: str, event_time: str | None) -> tuple[str, ...]:
    """Return the columns that name a row: one id, or with a time the fewest that tell all rows apart."""
    others = [column for column in seen.columns if column not in (target, event_time)]
    for column in others:
        if _is_id(seen, column):
            return (column,)
    if event_time is None:
        return ()
    exact = [column for column in others if seen.columns[column].type != "float"]
    found = seen.names.found(exact, beginning=[event_time]) or seen.names.found(others, beginning=[event_time])
    if found is None:
        raise ConfigError(
            "Some rows are equal in all columns but the target, so that nothing tells them apart.",
            expected="an id, or columns that together name one row",
            remedy="remove rows that stand twice, or give the file a column that numbers them",
        )
    return found


def _is_id(seen: Profile, column: str) -> bool:
    return looks_like_an_id(column, seen.columns[column], seen.rows) and seen.names.unique(column)


def _folds(facts: ColumnFacts) -> CrossValidation | None:
    """Return folds that the smallest class has rows for, where the usual five are too many."""
    smallest = min((facts.levels or {}).values())
    # About a quarter of the rows is held out, by a digest of each: of few rows it may well be half.
    folds = min(_FOLDS, smallest // 2)
    if folds == _FOLDS:
        return None
    return (
        CrossValidation(kind="stratified", folds=folds) if folds >= 2 else CrossValidation(kind="k_fold", folds=_FOLDS)
    )

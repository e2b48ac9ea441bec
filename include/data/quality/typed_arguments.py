"""Convert bounds and sets of an expectation to the type of its column, since Great Expectations compares them unconverted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, time
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from include.config.sections.rows.quality import Expectation
from include.data.columns.conversion import convert
from include.data.quality.expectations import entry_of
from include.errors import ConfigError

Kind = Literal["numbers", "texts", "dates", "times", "booleans"]

_BOUNDED = frozenset(f"expect_column_{what}_to_be_between" for what in ("values", "max", "min", "mean", "median"))
_OF_NUMBERS = {
    "expect_column_quantile_values_to_be_between",
    "expect_column_stdev_to_be_between",
    "expect_column_sum_to_be_between",
    "expect_column_value_z_scores_to_be_less_than",
    "expect_column_values_to_not_be_outliers",
    "expect_multicolumn_sum_to_equal",
}
_OF_TEXTS = {
    "expect_column_values_to_be_dateutil_parseable",
    "expect_column_values_to_be_json_parseable",
    "expect_column_values_to_match_json_schema",
    "expect_column_values_to_match_strftime_format",
}
_ORDERED = _BOUNDED | {
    "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_column_values_to_be_decreasing",
    "expect_column_values_to_be_increasing",
}
_PAIRS = {"expect_column_pair_values_a_to_be_greater_than_b", "expect_column_pair_values_to_be_equal"}
_INSTEAD: dict[Kind, str] = {
    "texts": "`expect_column_values_to_be_in_set` or `expect_column_values_to_match_regex` judge texts",
    "numbers": "`expect_column_values_to_be_between` judges numbers",
    "dates": "its texts were read as dates before; `expect_column_values_to_be_between` judges dates",
    "times": "its texts were read as times before; `expect_column_values_to_be_between` judges times",
    "booleans": "`expect_column_values_to_be_in_set` judges booleans",
}


def typed_arguments(
    built: Sequence[Any], declared: Sequence[Expectation], frame: pd.DataFrame, timezone: str, where: str
) -> list[Any]:
    """Return the expectations with bounds and sets that compare with the values of their columns.

    Parameters
    ----------
    built : list
        What `validation.build` returned.
    declared : list of Expectation
        What it was built from.
    frame : DataFrame
        The rows that are judged.
    timezone : str
        IANA name of the zone of times that are declared without one. A date among times is its first instant there.
    where : str
        The file, for errors.

    Raises
    ------
    ConfigError
        When a bound or a member of a set is no value of the column's type, or the expectation does not judge such columns.
    """
    return [_typed(*pair, frame, timezone, where) for pair in zip(built, declared, strict=True)]


def kind_of(column: pd.Series[Any]) -> Kind:
    """Return what the values of a column are."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return "booleans"
    if pd.api.types.is_numeric_dtype(kind):
        return "numbers"
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "dates" if getattr(kind, "tz", None) is None else "times"
    return "texts"


def _typed(built: Any, declared: Expectation, frame: pd.DataFrame, timezone: str, where: str) -> Any:
    place = entry_of(where, built.meta["entry"], declared)
    named = [declared.arguments[name] for name in ("column", "column_A", "column_B") if name in declared.arguments]
    columns = [name for name in [*named, *declared.arguments.get("column_list", ())] if name in frame]
    kinds = [kind_of(frame[name]) for name in columns]
    for name, kind in zip(columns, kinds, strict=True):
        if not _judges(declared.type, kind):
            raise ConfigError(
                f"`{declared.type}` does not judge {kind}.",
                expected="texts" if declared.type in _OF_TEXTS else "numbers",
                found=f"column `{name}` of {kind}",
                where=place,
                remedy=_INSTEAD[kind],
            )
    if declared.type in _PAIRS and len(set(kinds)) > 1:
        raise ConfigError(
            "The two columns can't be compared.",
            expected="columns of one type",
            found=" and ".join(f"`{name}` of {kind}" for name, kind in zip(columns, kinds, strict=True)),
            where=place,
            remedy="give them one type in `data.source.columns`, or derive a column that compares",
        )
    if len(columns) != 1:
        return built

    def typed(value: Any) -> Any:
        try:
            return value if value is None else _TYPED[kinds[0]](value, timezone)
        except (ValueError, TypeError) as error:  # pa.ArrowInvalid is a ValueError
            quotes = " in quotes, if it is meant as text" if kinds[0] == "texts" else ""
            raise ConfigError(
                f"`{columns[0]}` is a column of {kinds[0]}, and this value is not of that type.",
                expected=_SPELT[kinds[0]],
                found=repr(value),
                where=place,
                remedy=f"write it as such{quotes}, or correct the column's type",
            ) from error

    arguments = declared.model_dump(mode="json")["arguments"]
    update: dict[str, Any] = {}
    if isinstance(arguments.get("value_set"), list):
        update["value_set"] = [typed(value) for value in arguments["value_set"]]
    if declared.type in _BOUNDED:
        update |= {name: typed(arguments[name]) for name in ("min_value", "max_value") if name in arguments}
        low, high = update.get("min_value"), update.get("max_value")
        if low is not None and high is not None and low > high:
            raise ConfigError("No value lies between these bounds.", found=f"{low} to {high}", where=place)
    return built.copy(update=update) if update else built


def _judges(expectation: str, kind: Kind) -> bool:
    if expectation in _OF_TEXTS:
        return kind == "texts"
    if expectation in _OF_NUMBERS:
        return kind == "numbers" or (kind == "booleans" and "outliers" not in expectation)
    if expectation in _ORDERED:
        return kind != "texts" and not (kind == "booleans" and expectation in _BOUNDED)
    return True


def _number(value: Any, _: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(value)
    if isinstance(value, int):
        return value
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _text(value: Any, _: str) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _boolean(value: Any, _: str) -> bool:
    try:
        return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
    except KeyError:
        raise ValueError(value) from None


def _time(value: Any, timezone: str) -> datetime:
    found: datetime = convert(_one(value), "timestamp", timezone, declared=True)[0].as_py()
    return found


def _date(value: Any, timezone: str) -> datetime:
    # As frames hold dates: midnight without a zone.
    return datetime.combine(convert(_one(value), "date", timezone, declared=True)[0].as_py(), time())


def _one(value: Any) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([_text(value, "")])])


_TYPED: dict[Kind, Callable[[Any, str], Any]] = {
    "numbers": _number,
    "texts": _text,
    "dates": _date,
    "times": _time,
    "booleans": _boolean,
}
_SPELT: dict[Kind, str] = {
    "numbers": "a number",
    "texts": "a text",
    "dates": "a date such as 2024-01-31",
    "times": "a date or a time such as 2024-01-31T12:00:00Z",
    "booleans": "true or false",
}

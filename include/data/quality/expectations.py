"""Declared expectations: the columns that they read, and whether they judge rows one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from include.config.sections.rows.quality import Expectation
from include.errors import ConfigError, did_you_mean

OF_THE_TABLE = ("expect_column_to_exist", "expect_table_column")
"""How the names of expectations begin that judge the table as a whole, or a column that may be missing."""
# Whether a value is as expected depends on its own row alone, so that rows may be judged some at a time.
_BY_ROW = re.compile(
    "expect_column_(values_to_(not_)?be_(null|in_set)|values_to_be_between|values_to_(not_)?match_(regex|like_pattern)(_list)?"
    "|values_to_be_(dateutil|json)_parseable|values_to_match_(strftime_format|json_schema)|value_lengths_to_.*"
    "|pair_values_(a_)?to_be_(equal|in_set|greater_than_b))"
    "|expect_multicolumn_(sum_to_equal|values_to_be_equal)|expect_select_column_values_to_be_unique_within_record"
)


def columns_needed(expectations: Sequence[Expectation]) -> list[str] | None:
    """Return the columns that the expectations read, sorted, or None when that may be any of them."""
    needed: set[str] = set()
    for expectation in expectations:
        if expectation.type.startswith(OF_THE_TABLE) or expectation.arguments.get("row_condition"):
            return None
        needed.update(_columns(expectation))
    return sorted(needed)


def is_by_row(expectation: Expectation) -> bool:
    """Tell whether rows may be judged some at a time, and what is found be added up by `evaluate_together`."""
    return bool(_BY_ROW.fullmatch(expectation.type)) and not expectation.arguments.get("row_condition")


def check_columns(expectations: Sequence[Expectation], known: Sequence[str], where: str) -> None:
    """Raise `ConfigError` for the first expectation on a column that is not among ``known``."""
    for number, expectation in enumerate(expectations):
        if expectation.type.startswith(OF_THE_TABLE):
            continue
        for column in _columns(expectation):
            if column not in known:
                raise ConfigError(
                    f"`{expectation.type}` names a column that the rows do not have.",
                    expected=f"one of {', '.join(sorted(known))}",
                    found=column,
                    where=entry_of(where, number, expectation),
                    remedy=did_you_mean(column, known),
                )


def _columns(expectation: Expectation) -> Iterator[str]:
    for argument in ("column", "column_A", "column_B", "column_list"):
        value = expectation.arguments.get(argument, ())
        yield from (value,) if isinstance(value, str) else (str(column) for column in value)


def entry_of(where: str, number: int, expectation: Expectation) -> str:
    """Return where an expectation is declared, for errors."""
    return f"{where}, quality.expectations[{number}] ({expectation.type})"

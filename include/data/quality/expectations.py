"""Ask Great Expectations what holds of a frame; the only module that knows the library.

The library is imported when it is needed (it takes seconds), runs on an ephemeral context that keeps nothing on disk, sends
nothing anywhere and says nothing in the log.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from include.config.sections.rows.quality import Expectation
from include.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_TEXT = 60
_LONGEST_LIST = 20
# `expect_column_to_exist` may name a column that is not there, and the others judge the table as a whole.
# Whether a value is as expected depends on its own row alone, so that rows may be judged some at a time.
_BY_ROW = re.compile(
    "expect_column_(values_to_(not_)?be_(null|in_set)|values_to_be_between|values_to_(not_)?match_(regex|like_pattern)(_list)?"
    "|values_to_be_(dateutil|json)_parseable|values_to_match_(strftime_format|json_schema)|value_lengths_to_.*"
    "|pair_values_(a_)?to_be_(equal|in_set|greater_than_b))"
    "|expect_multicolumn_(sum_to_equal|values_to_be_equal)|expect_select_column_values_to_be_unique_within_record"
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_OF_THE_TABLE = ("expect_column_to_exist", "expect_table_column")


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations found for one expectation.

    ``observed`` is an aggregate, never a value of a row. ``offending`` are positions in the frame, looked up only for
    `quarantine`.
    """

    passed: bool
    judged: int | None = None
    missing: int | None = None
    unexpected: int | None = None
    observed: Any = None
    offending: tuple[int, ...] = field(default=(), repr=False)
    error: str | None = None


def columns_needed(expectations: Sequence[Expectation]) -> list[str] | None:
    """Return the columns that the expectations read, sorted, or None when that may be any of them."""
    needed: set[str] = set()
    for expectation in expectations:
        if expectation.type.startswith(_OF_THE_TABLE) or expectation.arguments.get("row_condition"):
            return None
        needed.update(_columns(expectation))
    return sorted(needed)


def is_by_row(expectation: Expectation) -> bool:
    """Tell whether rows may be judged some at a time, and what is found be added up by `evaluate_together`."""
    return bool(_BY_ROW.fullmatch(expectation.type)) and not expectation.arguments.get("row_condition")


def evaluate_together(expectation: Expectation, outcomes: Sequence[Outcome]) -> Outcome:
    """Add up what was found of one expectation among some rows at a time."""
    if len(outcomes) == 1:
        return outcomes[0]
    judged, missing, unexpected = (
        sum(getattr(one, count) or 0 for one in outcomes) for count in ("judged", "missing", "unexpected")
    )
    values = judged - missing
    error = next((one.error for one in outcomes if one.error), None)
    enough = not values or (values - unexpected) / values >= float(expectation.arguments.get("mostly", 1))
    return Outcome(
        passed=error is None and enough,
        judged=judged,
        missing=None if outcomes[0].missing is None else missing,
        unexpected=unexpected,
        offending=tuple(position for one in outcomes for position in one.offending),
        error=error,
    )


def check_columns(expectations: Sequence[Expectation], known: Sequence[str], where: str) -> None:
    """Raise `ConfigError` for the first expectation on a column that is not among ``known``."""
    for number, expectation in enumerate(expectations):
        if expectation.type.startswith(_OF_THE_TABLE):
            continue
        for column in _columns(expectation):
            if column not in known:
                close = nearest(column, known)
                raise ConfigError(
                    f"`{expectation.type}` names a column that the rows do not have.",
                    expected=f"one of {', '.join(sorted(known))}",
                    found=column,
                    where=entry_of(where, number, expectation),
                    remedy=f"did you mean `{close}`?" if close else None,
                )


def build(expectations: Sequence[Expectation], where: str) -> list[Any]:
    """Return the expectations as Great Expectations' own objects, each marked with its position.

    Raises
    ------
    ConfigError
        When the library refuses the arguments of one; names the entry below ``where``.
    """
    with _quiet():
        from include.data.quality.library import gx

        get_expectation_impl = gx.expectations.registry.get_expectation_impl
        return [
            _build(get_expectation_impl(expectation.type), number, expectation, where)
            for number, expectation in enumerate(expectations)
        ]


def validate(frame: pd.DataFrame, built: Sequence[Any], *, locate: Sequence[bool]) -> list[Outcome]:
    """Run every expectation on the frame, in one go.

    Parameters
    ----------
    frame : DataFrame
        The rows; only the columns that are needed, since the library hashes all that it is given.
    built : list
        What `build` returned.
    locate : list of bool
        For which expectations to look up the offending rows, if there are any.

    Returns
    -------
    list of Outcome
        In the order of ``built``. What the library could not evaluate has an ``error`` and has not passed.
    """
    with _quiet():
        batch = _batch(frame.reset_index(drop=True))
        brief = {"result_format": "BASIC", "partial_unexpected_count": 0}
        places = {one.meta["entry"]: place for place, one in enumerate(built)}
        outcomes = {places[entry]: outcome for entry, outcome in _validate(batch, built, brief).items()}
        offenders = [n for n, outcome in outcomes.items() if locate[n] and outcome.unexpected]
        if offenders:
            full = {
                "result_format": "COMPLETE",
                "exclude_unexpected_values": True,
                "return_unexpected_index_query": False,
                "partial_unexpected_count": 0,
            }
            located = _validate(batch, [built[n] for n in offenders], full)
            for n in offenders:
                found = located[built[n].meta["entry"]]
                # Rows that can't be located can't be set aside: that is an error and never a quiet pass.
                lost = found.error or ("" if found.offending else "the offending rows could not be located")
                outcomes[n] = replace(outcomes[n], offending=found.offending, error=lost or None)
    return [outcomes.get(n, Outcome(False, error="Great Expectations gave no answer")) for n in range(len(built))]


def _columns(expectation: Expectation) -> Iterator[str]:
    for argument in ("column", "column_A", "column_B", "column_list"):
        value = expectation.arguments.get(argument, ())
        yield from (value,) if isinstance(value, str) else (str(column) for column in value)


def entry_of(where: str, number: int, expectation: Expectation) -> str:
    """Return where an expectation is declared, for errors."""
    return f"{where}, quality.expectations[{number}] ({expectation.type})"


def _build(kind: Any, number: int, expectation: Expectation, where: str) -> Any:
    # As JSON, so that a date means the same whether it was read from YAML or from a serialized DAG.
    arguments = expectation.model_dump(mode="json")["arguments"]
    own = arguments.pop("meta", None)
    try:
        return kind(**arguments, severity=expectation.severity, meta={"yaml": own, "entry": number})
    except (ValueError, TypeError) as error:
        known = [name for name in kind.__fields__ if name not in ("meta", "severity")]
        unknown = [name for name in arguments if name not in known]
        close = nearest(unknown[0], known) if unknown else None
        raise ConfigError(
            f"Great Expectations refuses the arguments of `{expectation.type}`.",
            expected=_refusal(error),
            found=arguments,
            where=entry_of(where, number, expectation),
            remedy=f"did you mean `{close}` instead of `{unknown[0]}`?" if close else None,
        ) from error


def _refusal(error: ValueError | TypeError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    sentences = [(".".join(str(part) for part in e["loc"] if part != "__root__"), e["msg"]) for e in errors()]
    return "; ".join(dict.fromkeys(f"{name}: {text}" if name else text for name, text in sentences))


def _batch(frame: pd.DataFrame) -> Any:
    from include.data.quality.library import gx

    base = gx.data_context.types.base  # type: ignore[attr-defined]  # which the library imports itself
    # A configuration of our own, since the default one makes a temporary folder for a documentation site.
    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})


def _validate(batch: Any, built: Sequence[Any], result_format: dict[str, Any]) -> dict[int, Outcome]:
    from include.data.quality.library import gx

    try:
        suite = gx.ExpectationSuite("quality", expectations=list(built))
        results = batch.validate(suite, result_format=result_format).results
    except Exception as error:  # noqa: BLE001 - the library lets any exception of an expectation end the whole suite
        if len(built) == 1:
            said = _without_values(f"{type(error).__name__}: {error}", built[0].model_dump())
            return {built[0].meta["entry"]: Outcome(False, error=said)}
        return {n: o for one in built for n, o in _validate(batch, [one], result_format).items()}
    return {result.expectation_config.meta["entry"]: _outcome(result) for result in results}


def _outcome(answer: Any) -> Outcome:
    result = answer.result or {}
    judged, missing = result.get("element_count"), result.get("missing_count")
    said = answer.expectation_config
    return Outcome(
        passed=bool(answer.success),
        judged=judged,
        missing=missing,
        unexpected=result.get("unexpected_count"),
        observed=_aggregate(said.type, result.get("observed_value")),
        offending=tuple(int(position) for position in result.get("unexpected_index_list") or ()),
        error=_without_values(_error(answer.exception_info or {}), said.kwargs),
    )


def _aggregate(expectation: str, value: Any) -> Any:
    """Return what was observed, without the values of rows: of levels only how many there are."""
    if expectation.startswith(_OF_THE_TABLE) or expectation.endswith(("_of_type", "_in_type_list")):
        return plain_value(value)  # names of columns and types
    if isinstance(value, list | tuple | set | frozenset):
        return f"{len(value):,} value{'s' if len(value) != 1 else ''}"
    return "a text" if isinstance(value, str) else plain_value(value)


def _without_values(error: str | None, arguments: Mapping[str, Any]) -> str | None:
    """Return an error of the library without what it quotes, unless that is declared: a column or another argument."""
    declared = {str(value) for value in arguments.values()}
    if error is None:
        return None
    return _QUOTED.sub(lambda found: found[0] if found[0][1:-1] in declared else "…", error)


def _error(info: Mapping[str, Any]) -> str | None:
    # Either one record, or one for each metric that could not be computed.
    records = [info] if "raised_exception" in info else list(info.values())
    messages = [str(record["exception_message"]) for record in records if record.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages)) or None


def plain_value(value: Any) -> Any:
    """Return an aggregate as JSON: long lists and texts cut, numbers that JSON can't hold as text."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        more = [f"and {len(items) - _LONGEST_LIST} more"] if len(items) > _LONGEST_LIST else []
        return [plain_value(item) for item in items[:_LONGEST_LIST]] + more
    return _text(value)


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's own log lines and deprecation warnings, which may quote values, out of the task's log."""
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

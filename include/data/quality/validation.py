"""Validation of a frame by Great Expectations; the only module that runs the library.

The library is imported when it is needed (it takes seconds), runs on an ephemeral context that keeps nothing on disk, sends
nothing anywhere and says nothing in the log.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.config.sections.rows.quality import Expectation
from include.data.quality.expectations import entry_of
from include.data.quality.outcomes import Outcome, outcome_of, without_values
from include.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd


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
            said = without_values(f"{type(error).__name__}: {error}", built[0].model_dump())
            return {built[0].meta["entry"]: Outcome(False, error=said)}
        return {n: o for one in built for n, o in _validate(batch, [one], result_format).items()}
    return {result.expectation_config.meta["entry"]: outcome_of(result) for result in results}


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

"""Scores as a table: one row for each input row, with version and out-of-domain flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from include.config.sections.data import LOT, ROW, Data
from include.errors import ConfigError
from include.scoring.attributions import Attributions
from include.scoring.predictor import Predictions
from include.training.fit_record import FitRecord

PREDICTION, LABEL, VERSION, OUTSIDE = "prediction", "label", "version", "out_of_domain"
LOWER, UPPER = "lower", "upper"
CONTRIBUTION = "contribution_"
NAME = "row"
"""What the name of a row is called that a table without id gives it."""


@dataclass(frozen=True)
class Scores:
    """The table, and how many of its rows lie outside the domain: at all, and by column."""

    table: pa.Table
    outside: int
    columns: dict[str, int]


def keys_of(data: Data, schema: Mapping[str, str]) -> list[str]:
    """Return the columns of the rows that are stored with their scores: the id and the event time.

    Of a table without either, a row is named by a digest of its values and its number among equal ones. That name alone does
    not show which row is meant, so the values are included, except for the target.

    Parameters
    ----------
    schema : mapping of str to str
        Of the snapshot.
    """
    if not data.timeless:
        return list(dict.fromkeys([*data.row_id, data.event_time]))
    if data.row_id != (ROW,):
        return list(data.row_id)
    return [ROW, *(name for name in schema if name not in (ROW, LOT, data.target))]


def key_names(data: Data) -> list[str]:
    """Return the columns of the scores that name a row of an interval: the id and the event time."""
    if data.timeless:
        return [NAME if name == ROW else name for name in data.row_id]
    return keys_of(data, {})


def scores_of(
    rows: pd.DataFrame, predictions: Predictions, version: str, reasons: Attributions | None = None
) -> Scores:
    """Join predictions with the rows that they are for.

    Parameters
    ----------
    rows : pandas.DataFrame
        The columns of `keys_of`, in canonical order of the rows.
    reasons : Attributions, optional
        What each column contributed to each row's prediction.

    Returns
    -------
    Scores
        Columns: those of the rows (a table's own name of a row is called ``row``), ``prediction`` (clustering: a whole number, -1 in no cluster), ``label`` (classification: whether the prediction reaches the
        fit's threshold, as the target's own two values; of more classes the likeliest, whose probability is the prediction),
        ``lower`` and ``upper`` (where `training.intervals` are declared), ``version``, ``out_of_domain``; with ``reasons`` also
        ``contribution_scale``, ``contribution_base`` and ``contribution_of_<column>``.
    """
    rows = rows.rename(columns={ROW: NAME})
    bounds = (LOWER, UPPER) if predictions.fit.interval else ()
    contributed = {} if reasons is None else _contributions(reasons)
    names = (PREDICTION, LABEL, *bounds, VERSION, OUTSIDE, *contributed)
    if taken := [name for name in rows if name in names or list(rows).count(name) > 1]:
        raise ConfigError(
            f"The column `{taken[0]}` of the rows has the name of a column of the scores.",
            expected=f"other names than {', '.join(names)}; nor {NAME}, of a table without id",
            where="the columns that are stored with scores: `data.row_id` and `data.event_time`, or all of a table without either",
            remedy="rename it in the source",
        )
    table = _plain(pa.Table.from_pandas(rows, preserve_index=False))
    answers = answers_of(predictions.score, predictions.fit)
    for name in answers.column_names:
        table = table.append_column(name, answers[name])
    flags = predictions.out_of_domain
    table = table.append_column(VERSION, pa.array([version] * len(rows), pa.string()))
    table = table.append_column(OUTSIDE, pa.array(flags))
    for name, values in contributed.items():
        table = table.append_column(name, values)
    columns = {name: int(mask.sum()) for name, mask in predictions.outside.items() if mask.any()}
    return Scores(table, int(flags.sum()), columns)


def _contributions(reasons: Attributions) -> dict[str, pa.Array]:
    rows = len(reasons.contributions)
    of = {
        f"{CONTRIBUTION}of_{name}": pa.array(reasons.contributions[:, place])
        for place, name in enumerate(reasons.columns)
    }
    return {
        f"{CONTRIBUTION}scale": pa.array([reasons.scale] * rows, pa.string()),
        f"{CONTRIBUTION}base": pa.array(np.full(rows, reasons.base)),
        **of,
    }


def answers_of(scored: np.ndarray[tuple[int, ...], np.dtype[np.float64]], fit: FitRecord) -> pa.Table:
    """Return the columns of predictions: ``prediction``, ``label`` and bounds, as in `scores_of`."""
    predictions = Predictions(fit, scored, {})
    table = pa.table({PREDICTION: pa.array(predictions.prediction)})
    label = predictions.label
    if label is not None:
        table = table.append_column(LABEL, label)
    if fit.interval is not None:
        for name, offset in zip((LOWER, UPPER), fit.interval.offsets, strict=True):
            table = table.append_column(name, pa.array(predictions.prediction + offset))
    return table


def _plain(table: pa.Table) -> pa.Table:
    """Return texts as texts: which levels a category lists, and in which width, is no part of the scores."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table.replace_schema_metadata(None)

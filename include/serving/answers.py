"""Answers to a request: predictions of one version, or of several versions of segments, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from include.scoring.predictor import Predictions
from include.scoring.scores import VERSION
from include.serving.live.served import Served
from include.serving.live_versions import LiveModel
from include.serving.protocol.bodies import answer_rows, answer_schema, answer_table
from include.serving.protocol.row_schema import Row

AS_OF = "as_of"


@dataclass(frozen=True)
class Chosen:
    """The version that answers a request, and as what."""

    model: LiveModel
    served: Served
    role: str


@dataclass(frozen=True)
class Part:
    """Rows of a request that one version answers.

    Attributes
    ----------
    places : list of int or None
        Their positions in the request; None if they are all of its rows.
    """

    chosen: Chosen
    rows: pa.Table | list[Row]
    places: list[int] | None = None


@dataclass(frozen=True)
class Answer:
    """The predictions of a version for its part of the rows."""

    part: Part
    predictions: Predictions
    explanations: list[dict[str, Any]]

    @property
    def served(self) -> Served:
        """The version."""
        return self.part.chosen.served

    @property
    def named(self) -> bool:
        """Whether each row names its version, as it does for models with segments."""
        return self.part.chosen.model.segments.declared


def size_of(answers: Sequence[Answer]) -> int:
    """Return how many rows are answered."""
    return sum(len(one.predictions.score) for one in answers)


def rows_of(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return the answers as JSON objects, in the order of the request's rows."""
    said: list[dict[str, Any]] = []
    for one in answers:
        rows = answer_rows(one.predictions)
        if one.named:
            rows = [{**row, VERSION: one.served.version, AS_OF: one.served.as_of} for row in rows]
        if one.explanations:
            rows = [{**row, "explanation": why} for row, why in zip(rows, one.explanations, strict=True)]
        said += rows
    order = _order(answers)
    return said if order is None else [said[place] for place in order.tolist()]


def table_of(answers: Sequence[Answer]) -> pa.Table:
    """Return the answers as a table, in the order of the request's rows."""
    tables = [_table(one) for one in answers]
    order = _order(answers)
    if order is None:
        return tables[0]
    # Of two versions one may know a class that the other does not: that column is empty in the other's rows.
    return pa.concat_tables(tables, promote_options="default").take(pa.array(order)).combine_chunks()


def schema_of_answers(model: LiveModel, served: Served) -> pa.Schema:
    """Return the schema of the tables of `table_of`."""
    schema = answer_schema(served.predictor)
    if model.segments.declared:
        schema = schema.append(pa.field(VERSION, pa.string())).append(pa.field(AS_OF, pa.string()))
    return schema


def versions_of(answers: Iterable[Answer]) -> dict[str, str]:
    """Return the as-of of each version that answers, by its id."""
    return {one.served.version: one.served.as_of for one in answers}


def _table(answer: Answer) -> pa.Table:
    table = answer_table(answer.predictions)
    if answer.named:
        for name, value in ((VERSION, answer.served.version), (AS_OF, answer.served.as_of)):
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table


def _order(answers: Sequence[Answer]) -> np.ndarray[Any, Any] | None:
    if len(answers) == 1:
        return None
    return np.argsort(np.concatenate([one.part.places or [] for one in answers]))

"""Write a first model.yaml as text, for a person to read and correct."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from textwrap import indent

from include.config.sections.rows.lake import DeltaSource, IcebergSource
from include.config.sections.rows.sources import FilesSource, SqlSource
from include.config.sections.training import CrossValidation
from include.config.yaml_text import quoted
from include.data.columns.type_inference import InferredColumn, yaml_block
from include.drafting.periods import Periods

_YAML = """name: {name}
description: What is the {target} of this row?   # the question that the model answers
owner: me
task: {task}
schedule:{schedule}
data:
  source:
{source}{time}  target: {target}
{positive}features:
{features}training:
  candidates:
    - {{estimator: {simple}}}
    - {{estimator: random_forest, params: {{n_estimators: 200, min_samples_leaf: 5}}}}
    - {{estimator: hist_gradient_boosting, params: {{max_iter: 100}}}}
{cv}evaluation: {{metrics: [{metrics}]}}
gate:
  primary: {{metric: {metric}, rule: better}}
"""
_ALONE = """ {{start: {start:%Y-%m-%d}}}                   # `retrain: "@weekly"` runs it by itself; without, by hand"""
# The form opens at `end`, so that the first trigger finds rows.
_OVER_TIME = """
  start: {start}   # the first date at which both windows are full
  end: {end}     # the rows end here, and the form of a trigger opens here; remove it when rows keep coming
  # retrain: "@weekly" runs it by itself; without, by hand"""
_POSITIVE = "  positive: {positive}   # the class that is looked for: recall, thresholds and costs are about it; the rarer one here\n"
_TABLE = "  row_id: [{row_id}]\n"
_ALIKE = "  equal_rows: separate   # {share:.0%} of the rows equal one before them: different things that are alike; `together` if each is one thing that stands twice\n"
_TIMED = """  event_time: {event_time}
  row_id: [{row_id}]   # the columns that together name one row
  partition: {partition}
  label_delay: 0d   # how long after its event time a row's target is known
  windows: {{train: {train}, holdout: {holdout}}}   # {train_rows:,} rows teach, the {holdout_rows:,} newest judge what they taught
"""


MANY_ALIKE = 0.1
"""From this share on, equal rows of a table without ids are taken for different things: few are a row that was copied."""


@dataclass(frozen=True)
class Plan:
    """The content of a drafted declaration."""

    name: str
    source: FilesSource | SqlSource | DeltaSource | IcebergSource
    task: str
    classes: int
    target: str
    positive: str | int | bool | None
    columns: Mapping[str, InferredColumn]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    row_id: tuple[str, ...]
    event_time: str | None
    repeated: float
    """The share of rows that equal one before them, where nothing else names a row."""
    periods: Periods | None
    cv: CrossValidation | None
    today: datetime

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured, the primary metric first.

        Of more than two classes it is the loss: the ranking metrics are of every class against the others, and have no value
        wherever a rare class has no row.
        """
        if self.task == "regression":
            return ("rmse", "mae", "r2")
        return ("roc_auc", "log_loss", "accuracy") if self.classes == 2 else ("log_loss", "accuracy", "f1_macro")

    def to_yaml(self) -> str:
        """Return the text of model.yaml."""
        return _YAML.format(
            name=self.name,
            target=quoted(self.target),
            source=self._source(),
            positive="" if self.positive is None else _POSITIVE.format(positive=quoted(str(self.positive))),
            task=self.task,
            schedule=self._schedule(),
            time=self._time(),
            features=_features(self.numeric, self.categorical),
            simple="ridge" if self.task == "regression" else "logistic_regression",
            cv="" if self.cv is None else f"  cv: {{kind: {self.cv.kind}, folds: {self.cv.folds}}}\n",
            metric=self.metrics[0],
            metrics=", ".join(self.metrics),
        )

    def _source(self) -> str:
        if isinstance(self.source, SqlSource):
            return self._query(self.source)
        if isinstance(self.source, DeltaSource | IcebergSource):
            return self._table(self.source)
        source = self.source
        encoding = (
            f"    encoding: {source.encoding}   # by its bytes; look whether names read as they should\n"
            if source.encoding != "utf-8"
            else ""
        )
        sheet = f"    sheet: {quoted(source.sheet)}\n" if source.sheet is not None else ""
        delimiter = f"    delimiter: {json.dumps(source.delimiter)}\n" if source.delimiter != "," else ""
        connection = f"    connection: {quoted(source.connection)}\n" if source.connection is not None else ""
        where = f"    kind: files\n    path: {quoted(source.path)}\n    format: {source.format}\n"
        return where + connection + encoding + sheet + delimiter + indent(yaml_block(self.columns), "  ") + "\n"

    def _query(self, source: SqlSource) -> str:
        types = "".join(f"      {quoted(name)}: {word}\n" for name, word in source.types.items())
        return (
            f"    kind: sql\n    connection: {quoted(source.connection)}   # the id that it has in Airflow\n"
            f"    query: {json.dumps(source.query, ensure_ascii=False)}\n    types:\n{types}"
        )

    def _table(self, source: DeltaSource | IcebergSource) -> str:
        connection = f"    connection: {quoted(source.connection)}\n" if source.connection is not None else ""
        types = "".join(f"      {quoted(name)}: {word}\n" for name, word in source.types.items())
        where = f"    kind: {source.kind}\n    path: {quoted(str(source.path))}   # read there by each run\n"
        return where + connection + (f"    types:\n{types}" if types else "")

    def _schedule(self) -> str:
        if self.periods is None:
            return _ALONE.format(start=self.today.replace(month=1, day=1))
        return _OVER_TIME.format(start=_date(self.periods.start), end=_date(self.periods.end))

    def _time(self) -> str:
        names = ", ".join(map(quoted, self.row_id))
        if self.periods is None or self.event_time is None:
            alike = _ALIKE.format(share=self.repeated) if self.repeated >= MANY_ALIKE else ""
            return _TABLE.format(row_id=names) if names else alike
        return _TIMED.format(
            event_time=quoted(self.event_time),
            row_id=names,
            partition=self.periods.partition.value,
            train=self.periods.train,
            holdout=self.periods.holdout,
            train_rows=self.periods.train_rows,
            holdout_rows=self.periods.holdout_rows,
        )


def _date(instant: datetime) -> str:
    whole = instant.hour == instant.minute == instant.second == 0
    return f"{instant:%Y-%m-%d}" if whole else f'"{instant:%Y-%m-%dT%H:%M:%SZ}"'


def _features(numeric: tuple[str, ...], categorical: tuple[str, ...]) -> str:
    groups = {
        "numeric": (numeric, "impute: median, scale: standard"),
        "categorical": (categorical, "min_frequency: 0.01"),
    }
    return "".join(
        f"  {group}:\n"
        + "".join(f"    {setting}\n" for setting in settings.split(", "))
        + "    columns:\n"
        + "".join(f"      - {quoted(column)}\n" for column in columns)
        for group, (columns, settings) in groups.items()
        if columns
    )

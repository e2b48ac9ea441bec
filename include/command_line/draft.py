"""A first model.yaml for a CSV file, to be read and corrected by a person."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from textwrap import dedent, indent

from include.config.data import FilesSource
from include.config.load import load_model
from include.config.yaml_text import read_yaml
from include.data.files import File
from include.data.suggestions import columns_block
from include.errors import ConfigError, nearest

_LOOKED_AT = 100_000
_MOST_CLASSES = 20
_MOST_LEVELS = 200

_YAML = """name: {name}
description: What is the {target} of this row?   # the question that the model answers
owner: me
task: {task}
schedule: {{start: 2026-01-01}}                   # `retrain: "@weekly"` runs it by itself; without, by hand
data:
  source:
    kind: files
    path: {path}
    format: csv
{columns}
{time}  target: {target}
features:
{features}training:
  candidates:
    - {{estimator: {simple}}}
    - {{estimator: random_forest, params: {{n_estimators: 200, min_samples_leaf: 5}}}}
    - {{estimator: hist_gradient_boosting, params: {{max_iter: 100}}}}
evaluation: {{metrics: [{metrics}]}}
gate:
  primary: {{metric: {metric}, rule: better}}
"""
_TABLE = "  row_id: {row_id}\n"
_TIMED = """  event_time: {event_time}
  row_id: {row_id}                               # the columns that together name one row
  partition: month
  label_delay: 0d                                # how long after its event time a row's target is known
  windows: {{train: 6mo, holdout: 1mo}}            # the newest month judges what the six before it taught
"""


@dataclass(frozen=True)
class Draft:
    """What was written, and what a person should look at in it."""

    path: Path
    task: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    left_out: tuple[str, ...]
    row_id: str | None


def draft(models: Path, name: str, file: Path, target: str, event_time: str | None = None) -> Draft:
    """Copy a CSV file into a new model's folder and declare the model from what the file's rows look like.

    Parameters
    ----------
    models : Path
        The folder of models.
    target : str
        The column to predict.
    event_time : str, optional
        The column that says when a row happened; a table without time if left out.

    Raises
    ------
    ConfigError
        When the model exists, or the file has no such column.
    """
    folder = models / name
    if folder.exists():
        raise ConfigError("There is such a model already.", found=str(folder), remedy="choose another name")
    with file.open(newline="", encoding="utf-8-sig") as text:
        header, *rows = islice(csv.reader(text), _LOOKED_AT)
    for column in (target, *([event_time] if event_time else [])):
        if column not in header:
            close = nearest(column, header)
            raise ConfigError(
                f"The file has no column `{column}`.",
                expected=", ".join(header),
                where=str(file),
                remedy=f"did you mean `{close}`?" if close else None,
            )
    source = FilesSource(kind="files", path=file.name, format="csv")
    block = columns_block(File(file.name, lambda: file.open("rb"), local=file), source)
    types = {column: spec["type"] for column, spec in read_yaml(dedent(block), name)[0]["columns"].items()}
    values = {column: [row[at] for row in rows if at < len(row)] for at, column in enumerate(header)}
    levels = {column: set(found) for column, found in values.items()}
    row_id = next(
        (c for c in header if c != target and types[c] in ("string", "integer") and len(levels[c]) == len(rows)), None
    )
    used = [c for c in header if c not in (target, event_time, row_id)]
    numeric = tuple(c for c in used if types[c] in ("integer", "float", "boolean"))
    categorical = tuple(c for c in used if types[c] == "string" and len(levels[c]) <= _MOST_LEVELS)
    classes = types[target] != "float" and len(levels[target]) <= _MOST_CLASSES
    folder.mkdir(parents=True)
    shutil.copyfile(file, folder / file.name)
    (folder / "model.yaml").write_text(
        _YAML.format(
            name=name,
            target=_text(target),
            path=_text(file.name),
            columns=indent(block, "  "),
            task="classification" if classes else "regression",
            time=_time(event_time, row_id),
            features=_features(numeric, categorical),
            simple="logistic_regression" if classes else "ridge",
            metric="roc_auc" if classes else "rmse",
            metrics="roc_auc, log_loss, accuracy" if classes else "rmse, mae, r2",
        )
    )
    model = load_model(folder / "model.yaml")
    left_out = tuple(c for c in used if c not in numeric and c not in categorical)
    return Draft(folder / "model.yaml", model.task, numeric, categorical, left_out, row_id)


def _time(event_time: str | None, row_id: str | None) -> str:
    if event_time is not None:
        return _TIMED.format(event_time=_text(event_time), row_id=f"[{_text(row_id or event_time)}]")
    return "" if row_id is None else _TABLE.format(row_id=_text(row_id))


def _features(numeric: tuple[str, ...], categorical: tuple[str, ...]) -> str:
    groups = {
        "numeric": (numeric, "impute: median, scale: standard"),
        "categorical": (categorical, "min_frequency: 0.01"),
    }
    return "".join(
        f"  {group}:\n"
        + "".join(f"    {setting}\n" for setting in settings.split(", "))
        + "    columns:\n"
        + "".join(f"      - {_text(column)}\n" for column in columns)
        for group, (columns, settings) in groups.items()
        if columns
    )


def _text(value: str) -> str:
    """Return a text as YAML reads it back."""
    return value if value.isidentifier() and value.lower() not in ("null", "true", "false") else json.dumps(value)

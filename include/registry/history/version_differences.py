"""Differences between two versions, grouped by their cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.registry.history.version_details import VersionDetails
from include.storage.content import to_iso


@dataclass(frozen=True)
class VersionDifference:
    """One thing that is not the same; None where a version does not have it."""

    name: str
    one: str | None
    other: str | None


def differences(one: VersionDetails, other: VersionDetails) -> dict[str, tuple[VersionDifference, ...]]:
    """Return what differs in recipe, configuration, data, schema, code and environment; what is the same is left out."""
    facts = {
        "Recipe": _recipe,
        "Configuration": _configuration,
        "Data": _data,
        "Schema": _schema,
        "Code": _code,
        "Environment": _environment,
    }
    found = {name: _between(read(one), read(other)) for name, read in facts.items()}
    return {name: rows for name, rows in found.items() if rows}


def differences_between(one: ModelConfig, other: ModelConfig) -> tuple[VersionDifference, ...]:
    """Return the fields of two declarations that are not the same, by their path."""
    return _between(_flat(one.to_json()), _flat(other.to_json()))


def _between(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[VersionDifference, ...]:
    names = [*one, *(name for name in other if name not in one)]
    return tuple(
        VersionDifference(name, _text(one.get(name)), _text(other.get(name)))
        for name in names
        if one.get(name) != other.get(name)
    )


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _recipe(of: VersionDetails) -> dict[str, Any]:
    fit = of.fit
    return {
        "candidate": fit.candidate,
        "estimator": fit.estimator,
        **_flat(fit.params),
        "threshold": fit.threshold,
        "seed": fit.seed,
    }


def _configuration(of: VersionDetails) -> dict[str, Any]:
    return {} if of.config is None else _flat(of.config.to_json())


def _data(of: VersionDetails) -> dict[str, Any]:
    split, fit = of.snapshot.split, of.fit
    return {
        "as-of": to_iso(of.snapshot.as_of),
        "training rows after": to_iso(split.train.after),
        "training rows until": to_iso(split.train.until),
        "training rows": f"{fit.train.rows:,}",
        "holdout rows after": to_iso(split.holdout.after),
        "holdout rows until": to_iso(split.holdout.until),
        "source": of.snapshot.source[:12],
        **_partitions("", of.snapshot),
        **{name: fact for join in of.snapshot.joins for name, fact in _partitions(join.rule.name, join.rows).items()},
        **{f"join {join.rule.name}": str(join.rule.said()) for join in of.snapshot.joins},
    }


def _partitions(join: str, rows: Snapshot) -> dict[str, str]:
    of = f" of join {join}" if join else ""
    return {f"partition {one.slot}{of}": f"{one.content[:12]}, {one.rows:,} rows" for one in rows.partitions}


def _schema(of: VersionDetails) -> dict[str, Any]:
    return {**of.snapshot.schema, "columns that the model reads": sorted(of.fit.columns)}


def _code(of: VersionDetails) -> dict[str, Any]:
    return {"the model's Python files": of.fit.code[:12]}


def _environment(of: VersionDetails) -> dict[str, Any]:
    return of.fit.libraries


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of nested JSON by their path, such as ``training.candidates[0].estimator``."""
    if isinstance(value, dict):
        leaves: dict[str, Any] = {}
        for name, inner in value.items():
            leaves |= _flat(inner, f"{path}.{name}" if path else name)
        return leaves
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        leaves = {}
        for number, inner in enumerate(value):
            leaves |= _flat(inner, f"{path}[{number}]")
        return leaves
    return {path: value}

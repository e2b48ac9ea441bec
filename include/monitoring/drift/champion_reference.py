"""The stored reference of a version: sketches of its rows by period, and its expected performance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from include.config.model import ModelConfig
from include.config.sections.rows.sources import Slot
from include.data.rare_levels import pooled_by
from include.monitoring.drift.periods import Period, Reference
from include.monitoring.drift.watched_version import PREDICTION
from include.monitoring.performance.confidence_estimation import Calibration
from include.monitoring.performance.error_model import ErrorModel
from include.monitoring.sketches.layouts import Layout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch
from include.storage.content import (
    canonical_json,
    digest_json,
    get_content,
    get_json,
    put_content,
    put_json_once,
    read_json,
)
from include.storage.store import ObjectStore

PARTITION_TICKS = {Slot.HOUR: "@hourly", Slot.DAY: "@daily", Slot.MONTH: "@monthly"}
REFERENCE_VERSION = 1
"""Part of what a reference is found by: raise it when the same rows are to be sketched differently."""
SliceSketches = dict[tuple[str, str], ColumnSketch]


@dataclass(frozen=True, eq=False)
class ChampionReference:
    """What is kept of a version for watching it.

    Parameters
    ----------
    reference : Reference
        Inputs and derived columns of training rows and holdout; predictions of the holdout.
    labels : Reference or None
        Targets of training rows and holdout; None of clusterings.
    slices : dict of (slice, level) to ColumnSketch
        Predictions of the holdout.
    promised : dict of metric to tuple of float
        Each metric in each interval of the holdout.
    calibration : Calibration or None
        Of two classes.
    errors : ErrorModel or None
        Of a regression.
    digest : str or None
        Of its stored form; None of one that is not stored.
    """

    reference: Reference
    labels: Reference | None
    slices: SliceSketches
    promised: dict[str, tuple[float, ...]]
    calibration: Calibration | None
    errors: ErrorModel | None
    digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        slices = [{"slice": name, "level": level, **one.to_json()} for (name, level), one in self.slices.items()]
        return {
            "reference": _reference_to_json(self.reference),
            "labels": None if self.labels is None else _reference_to_json(self.labels),
            "slices": slices,
            "promised": {name: list(values) for name, values in self.promised.items()},
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "errors": None if self.errors is None else asdict(self.errors),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChampionReference:
        """Read what `to_json` wrote."""
        reference = _reference_from_json(value["reference"])
        prediction = reference.layout[PREDICTION]
        tuples = [
            None if value[name] is None else {key: tuple(one) for key, one in value[name].items()}
            for name in ("calibration", "errors")
        ]
        return cls(
            reference,
            None if value["labels"] is None else _reference_from_json(value["labels"]),
            {(one["slice"], one["level"]): ColumnSketch.from_json(one, prediction) for one in value["slices"]},
            {name: tuple(values) for name, values in value["promised"].items()},
            None if tuples[0] is None else Calibration(**tuples[0]),
            None if tuples[1] is None else ErrorModel(**tuples[1]),
        )


def ticks_of(model: ModelConfig) -> str:
    """Return the schedule whose ticks cut time into the intervals that are watched."""
    return model.schedule.monitor or model.schedule.score or PARTITION_TICKS[model.data.partition]


def find_reference(store: ObjectStore, model: ModelConfig, version: str) -> ChampionReference | None:
    """Return what a version is compared with, if it was made already."""
    index = _index(model, version)
    if not store.exists(index):
        return None
    return kept_reference(store, model.name, get_json(store, index)["kept"])


def kept_reference(store: ObjectStore, model: str, digest: str) -> ChampionReference:
    """Return what a model's version is compared with, by the digest of its stored form; raises as `get_content`."""
    body = get_content(store, f"{model}/watch/kept", ".json", digest)
    return replace(ChampionReference.from_json(read_json(body)), digest=digest)


def keep_reference(
    store: ObjectStore, model: ModelConfig, version: str, reference: ChampionReference
) -> ChampionReference:
    """Keep what a version is compared with, and return what is in force: of several, what was kept first.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    version : str
        Id of the version.
    reference : ChampionReference
    """
    digest = put_content(store, f"{model.name}/watch/kept", ".json", canonical_json(reference.to_json()))
    return kept_reference(store, model.name, put_json_once(store, _index(model, version), {"kept": digest})["kept"])


def _index(model: ModelConfig, version: str) -> str:
    question: dict[str, Any] = {
        "edition": REFERENCE_VERSION,
        "version": version,
        "ticks": ticks_of(model),
        "metrics": list(model.metrics),
    }
    if model.score.contributions:  # a reference from before them is found as it was
        question["contributions"] = True
    question |= pooled_by(model.data)
    question["slices"] = model.evaluation.model_dump(mode="json", include={"slices"})
    return f"{model.name}/watch/references/{digest_json(question)}.json"


def _reference_to_json(reference: Reference) -> dict[str, Any]:
    return {
        "layout": reference.layout.to_json(),
        "sketch": read_json(reference.sketch.to_bytes()),
        "periods": [one.to_json() for one in reference.periods],
    }


def _reference_from_json(value: Mapping[str, Any]) -> Reference:
    layout = Layout.from_json(value["layout"])
    whole = Sketch.from_bytes(canonical_json(value["sketch"]), layout)
    return Reference(layout, whole, tuple(Period.from_json(one) for one in value["periods"]))

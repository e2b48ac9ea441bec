"""The `segments` section: one model for each segment of the rows, and the configuration of each."""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from include.config.section import Section
from include.config.sections.watch import Rate

if TYPE_CHECKING:
    from include.config.model import ModelConfig

SEGMENTS = "segments"
"""Below this word of a model's own keys the store keeps its segments."""

SMALLEST_LEVEL = 0.001
"""The smallest error at which evidence keeps bounds of everything that a gate asks of it."""

BEYOND = 10
"""The mean number of resamples beyond a segment's bound: with fewer, the bound would be too noisy."""

_PLAIN = re.compile(r"[a-z0-9_]{1,40}")
_HASHED = re.compile(r"[a-z0-9_]{1,40}-[0-9a-f]{8}")


class Segments(Section):
    """One model per segment, beside the model of all rows: the same declaration, trained, judged and promoted on the rows of each level of a column. Rows of a level that is too rare, or whose model is not promoted, are predicted by the model of all rows."""

    column: str
    """A column of the source with texts, whole numbers or truth values; each of its levels may be a segment. Rows without a value belong to none."""
    min_rows: int = Field(default=5000, ge=100)
    """How many labelled rows of the training window a level must have."""
    otherwise: Literal["pooled"] = "pooled"
    """What predicts every other row: the model of all rows."""
    at_most: int = Field(default=50, ge=2, le=1000)
    """How many segments there may be; a run that finds more trains none of them. The gate's error is divided among those that are found, so that it holds for all of them together."""


def segment_name(level: str | int | bool) -> str:
    """Return the name of a level in keys: itself in plain lower case, otherwise what is plain of it and a digest."""
    text = str(level)
    if _PLAIN.fullmatch(text):
        return text
    plain = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:40] or "level"
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def segment_key(model: str, segment: str) -> str:
    """Return under what name a model's segment stands in the store: its ledger and all that it names.

    Parameters
    ----------
    model : str
    segment : str
        The segment's name, or its level as rows have it.
    """
    return f"{model}/{SEGMENTS}/{segment if _HASHED.fullmatch(segment) else segment_name(segment)}"


def ledger_name(named: str) -> str:
    """Return the name of the ledger that a person means by ``model``, or by ``model/segment``: its level, or its name."""
    model, _, segment = named.partition("/")
    segment = segment.removeprefix(f"{SEGMENTS}/")
    return segment_key(model, segment) if segment else model


def owner_of(model: str) -> str:
    """Return the model whose rows a model is trained on: of a segment the declared one, of any other itself."""
    return model.partition("/")[0]


def segment_of(model: str) -> str | None:
    """Return the name of the segment whose model is kept under a name; None of a model of all rows."""
    _, _, rest = model.partition(f"/{SEGMENTS}/")
    return rest or None


def kept_as(model: ModelConfig, segment: str) -> ModelConfig:
    """Return a model's declaration under the name that the model of a segment is kept as."""
    name = segment_key(model.name, segment)
    return model.model_copy(update={"declared_name": name, "renamed_from": (), "segments": None})


def declared_for(model: ModelConfig, segment: str, family: int) -> ModelConfig:
    """Return what a segment's model is declared as: all that its model is, at its share of the gate's error.

    Of ``family`` segments each is judged at the error that the gate allows, divided by their number. By Bonferroni's
    inequality an error among all of them is then no more probable than the gate says of one decision, for any dependence of their rows
    have in common.

    Parameters
    ----------
    model : ModelConfig
    segment : str
        The segment's name.
    family : int
        How many segments are judged together.
    """
    gate, evaluation = model.gate, model.evaluation
    level = (1 - gate.primary.confidence) / family
    primary = gate.primary.model_copy(update={"confidence": round(1 - level, 12)})
    lifetime = gate.lifetime
    if lifetime is not None:
        share = Rate(f"{lifetime.wrong_promotions.a_year / family:.12f}/y")
        lifetime = lifetime.model_copy(update={"wrong_promotions": share})
    resamples = min(20_000, max(evaluation.resamples, math.ceil(BEYOND / level)))
    return kept_as(model, segment).model_copy(
        update={
            "gate": gate.model_copy(update={"primary": primary, "lifetime": lifetime}),
            "evaluation": evaluation.model_copy(update={"resamples": resamples}),
        }
    )


def check_segments(model: ModelConfig) -> None:
    """Check that everything declared works with models of segments; raises `ValueError`."""
    declared = model.segments
    if declared is None:
        return
    if declared.column == model.data.target:
        raise ValueError("`segments.column` is the target: the segment of a row must be known before it is predicted")
    most = math.floor((1 - model.gate.primary.confidence) / SMALLEST_LEVEL + 1e-9)
    if declared.at_most > most:
        raise ValueError(
            f"expected `segments.at_most` of {most} or less: bounds are kept down to an error of {SMALLEST_LEVEL:.1%}, "
            f"and each of {declared.at_most} segments gets that share of `gate.primary.confidence`"
        )
    asked = {
        "data.event_time": model.data.timeless,
        "gate.approval": model.gate.approval.when != "never",
        "gate.canary": model.gate.canary is not None,
        "retention": model.retention.versions is not None or model.retention.quarantine is not None,
    }
    if found := [name for name, there in asked.items() if there]:
        why = {
            "data.event_time": "segments need `data.event_time`, which this table does not have",
            "gate.approval": "segments are decided by the gate alone: expected `gate.approval: never`",
            "gate.canary": "segments are decided without requests: expected no `gate.canary`",
            "retention": "versions of segments need the versions of all rows and their quarantined rows: expected no `retention.versions` and no `retention.quarantine`",
        }
        raise ValueError(why[found[0]])

"""The `serving` section: the request log, and a challenger that predicts beside the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from include.config.section import Section

if TYPE_CHECKING:
    from include.config.model import ModelConfig

LOGGED = (
    *("request_id", "request_row", "requested_at", "role"),
    *("prediction", "label", "lower", "upper", "version", "out_of_domain"),
)
"""Columns that a request log has of its own, beside those of the rows."""


class RequestLog(Section):
    """What is kept of requests and answers, as Parquet files in the store."""

    leave_out: tuple[str, ...] = ()
    """Columns of the rows that are not kept."""
    hash: tuple[str, ...] = ()
    """Columns that are kept as a keyed hash of their text (HMAC-SHA-256 with `RATCHET_SERVING_HASH_KEY`), so that they still join."""


class Challenger(Section):
    """A second version that predicts the same requests, or answers a share of them."""

    version: (
        Literal["predecessor", "held"] | Annotated[str, StringConstraints(pattern=r"^alias:[a-z][a-z0-9_.-]{0,62}$")]
    )
    """The champion before the one in force, the newest version that the gate holds, or that of an alias: `alias:canary`."""
    traffic: float = Field(default=0.0, ge=0, le=0.5)
    """The share of entities whose requests it answers. 0: it predicts beside, after the answer is sent, and goes to the request log only."""
    by: str | None = None
    """The column whose value, hashed, says which version answers: one entity always gets the same one. A request with rows of several entities is answered by the champion."""

    @model_validator(mode="after")
    def _split_by_something(self) -> Challenger:
        if bool(self.traffic) != (self.by is not None):
            raise ValueError("expected `by` together with `traffic` above 0")
        return self


class Serving(Section):
    """What the server does with a model's requests."""

    request_log: RequestLog | None = None
    """Keep requests and answers; left out: nothing is kept."""
    challenger: Challenger | None = None
    """Let a second version predict beside the champion."""

    @model_validator(mode="after")
    def _seen_by_somebody(self) -> Serving:
        if self.challenger is not None and not self.challenger.traffic and self.request_log is None:
            raise ValueError(
                "expected `request_log` with a `challenger` without `traffic`: its predictions are stored only there"
            )
        return self


def check_request_log(model: ModelConfig) -> None:
    """Check that no column of the rows has the name of a column that the request log adds; raises `ValueError`."""
    kept = model.serving.request_log
    if kept is None:
        return
    if taken := sorted({*model.features.columns, *model.data.row_id} & {*LOGGED} - {*kept.leave_out}):
        raise ValueError(
            f"the column `{taken[0]}` of the rows has the name of a column of `serving.request_log`: rename it in the source, "
            f"or `leave_out` it"
        )


def check_canary(model: ModelConfig) -> None:
    """Check that `gate.canary` has answers to compare, a metric that fits them, and the columns that it joins by; raises `ValueError`."""
    canary, challenger, kept = model.gate.canary, model.serving.challenger, model.serving.request_log
    if canary is None:
        return
    if challenger is None or challenger.version != "held" or not challenger.traffic or kept is None:
        raise ValueError(
            "`gate.canary` compares answers to requests: expected `serving.request_log`, and `serving.challenger` with "
            "`version: held` and `traffic`"
        )
    metric = canary.metric or model.gate.primary.metric
    if metric in ("cost", "interval_coverage") or model.task == "clustering":
        raise ValueError(
            f"`gate.canary` needs a metric of single predictions, in classification or regression; found `{metric}`: name another `metric`"
        )
    row_id = model.data.row_id
    if lost := sorted(({*row_id, str(challenger.by)} & {*kept.leave_out}) | ({*row_id} & {*kept.hash})):
        raise ValueError(
            f"`gate.canary` joins answers with labels by {', '.join(row_id)} and counts entities by "
            f"{challenger.by}: `serving.request_log` must keep `{lost[0]}`"
        )

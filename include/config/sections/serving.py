"""How a model is served: what of its requests is kept, and which version predicts beside the champion."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from include.config.section import Section

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
                "expected `request_log` with a `challenger` without `traffic`: what it predicts goes there only"
            )
        return self

"""The `quality` section: expectations on rows, and what is corrected as they are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from include.config.free_values import storable
from include.config.names import EXPECTATIONS, ROW_EXPECTATIONS
from include.config.section import Section
from include.config.sections.rows.rectify import AS_READ, Rectify
from include.errors import nearest


class Expectation(Section):
    """One expectation under its Great Expectations name, with its arguments."""

    type: str
    """A Great Expectations name such as `expect_column_values_to_not_be_null`; those that need a SQL database are not available."""
    arguments: Annotated[dict[str, Any], AfterValidator(storable)]
    """Its arguments, as Great Expectations names them."""
    severity: Literal["critical", "warning"] = "warning"
    """What a failure means: `critical` stops the run without retries, `warning` is recorded. A check that can't be evaluated always stops the run."""
    quarantine: bool = False
    """Set the offending rows aside and go on, below `max_quarantined`; for expectations on single rows, in place of `severity: critical` and `mostly`."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Expectation:
        if self.type not in EXPECTATIONS:
            close = nearest(self.type, EXPECTATIONS)
            hint = f"; did you mean `{close}`?" if close else ""
            raise ValueError(
                f"expected a Great Expectations name that a data frame can answer, found `{self.type}`{hint}"
            )
        if taken := sorted(_NOT_ARGUMENTS & self.arguments.keys()):
            raise ValueError(f"`{taken[0]}` of `{self.type}` is set by Ratchet: leave it out")
        if not self.quarantine:
            return self
        if self.type not in ROW_EXPECTATIONS:
            raise ValueError(
                f"expected `quarantine` only where single rows are judged; `{self.type}` judges all of them together"
            )
        if self.severity == "critical" or "mostly" in self.arguments:
            other = "mostly" if "mostly" in self.arguments else "severity: critical"
            raise ValueError(
                f"expected `quarantine` or `{other}`, found both; `quality.max_quarantined` bounds what is set aside"
            )
        return self


_NOT_ARGUMENTS = frozenset({"batch_id", "catch_exceptions", "id", "rendered_content", "result_format", "windows"})


class Quality(Section):
    """What must hold for the rows before a model is trained on them."""

    expectations: tuple[Expectation, ...] = ()
    """Each is one entry `expect_...: {arguments}`, with `severity` and `quarantine` beside the arguments."""
    max_quarantined: float = Field(default=0.05, ge=0, le=1)
    """The largest share of rows that may be set aside; above it the run stops."""

    rectify: Rectify = Field(default=AS_READ, exclude_if=lambda rectify: rectify == AS_READ)
    """Corrections of rows as they are read, in training, scoring and serving: spellings, and duplicate rows. The check report counts each correction."""

    @field_validator("expectations", mode="before")
    @classmethod
    def _by_name(cls, entries: Any) -> Any:
        if not isinstance(entries, list | tuple):
            return entries
        return tuple(_expectation(entry) for entry in entries)


def _expectation(entry: Any) -> Any:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or {"type", "arguments"} <= entry.keys():
        return entry
    if len(entry) != 1:
        raise ValueError("expected one entry `expect_...: {arguments}` in each list item, found several keys")
    ((name, arguments),) = entry.items()
    if arguments is not None and not isinstance(arguments, dict):
        raise ValueError(f"expected the arguments of `{name}` as `{{column: ...}}`, found {arguments!r}")
    arguments = dict(arguments or {})
    own = {key: arguments.pop(key) for key in ("severity", "quarantine") if key in arguments}
    return {"type": name, "arguments": arguments, **own}

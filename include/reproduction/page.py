"""The page that a person reads after a reproduction."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from jinja2 import Template

from include.templates import templates_beside

if TYPE_CHECKING:
    from include.reproduction.report import Reproduction


def render(report: Reproduction, digest: str) -> str:
    """Return one self-contained HTML text; ``digest`` is that of the report's JSON, for the page to name it."""
    ordered = sorted(report.differences, key=lambda one: (one.kind != "record", not one.bears, one.kind, one.name))
    return _template().render(report=report, differences=ordered, digest=digest)


@functools.cache
def _template() -> Template:
    return templates_beside(__file__).get_template("reproduction.html")

"""Store a reproduction: its report as JSON, and its page."""

from __future__ import annotations

import functools

from jinja2 import Template

from include.reproduction.report import Reproduction
from include.storage.content import canonical_json, put_content
from include.storage.store import ObjectStore
from include.templates import templates_beside


def save(store: ObjectStore, report: Reproduction) -> tuple[str, str]:
    """Keep the report and its page; return the digests of both."""
    folder = f"{report.model}/reproductions"
    digest = put_content(store, folder, ".json", canonical_json(report.to_json()))
    return digest, put_content(store, folder, ".html", render(report, digest).encode())


def render(report: Reproduction, digest: str) -> str:
    """Return one self-contained HTML text; ``digest`` is that of the report's JSON, for the page to name it."""
    ordered = sorted(report.differences, key=lambda one: (one.kind != "record", not one.bears, one.kind, one.name))
    return _template().render(report=report, differences=ordered, digest=digest)


@functools.cache
def _template() -> Template:
    return templates_beside(__file__).get_template("reproduction.html")

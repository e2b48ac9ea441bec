"""Draw how a version's rows are distributed beside those of the snapshot before it; which one that is, is known only as the page is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from include.config.model import ModelConfig
from include.data.quality.check_report import load_report
from include.data.quality.distribution_charts import HEIGHT, WIDTH, charts
from include.data.quality.page import report_digest
from include.registry.history.summary import VersionSummary
from ratchet_ui.cache.page_cache import PageCache
from ratchet_ui.templating import draw

LOOKED_AT = 20
"""Of how many versions before it, the newest, the reports are looked for."""

Distributions = Sequence[Mapping[str, Any]]


def draw_distributions(cache: PageCache, model: str, summary: VersionSummary, root: str) -> str:
    """Draw each column of a version's snapshot, and beside it the same column of the last snapshot before it.

    Parameters
    ----------
    cache : PageCache
    model : str
    summary : VersionSummary
        The version, from the model's history.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    now = _distributions(cache, model, summary) or ()
    history = cache.read(model)[1]
    earlier = [one for one in history.versions if one.as_of < summary.as_of][-LOOKED_AT:]
    found = ((one, _distributions(cache, model, one)) for one in reversed(earlier))
    before, then = next(((one, kept) for one, kept in found if kept), (None, ()))
    return draw(
        "distributions.html",
        root,
        model=model,
        summary=summary,
        before=before,
        looked_at=len(earlier),
        columns=beside(now, then or ()),
        width=WIDTH,
        height=HEIGHT,
    )


def beside(now: Distributions, then: Distributions) -> list[tuple[str, Any, Any]]:
    """Return the pictures of each column in two snapshots: None where one does not have it; columns that are gone come last.

    Parameters
    ----------
    now, then : sequence of dict
        As check reports keep them.
    """
    drawn = {one["column"]: one for one in charts(now)}
    earlier = {one["column"]: one for one in charts(then)}
    return [(column, drawn.get(column), earlier.get(column)) for column in dict.fromkeys([*drawn, *earlier])]


def _distributions(cache: PageCache, model: str, summary: VersionSummary) -> Distributions | None:
    """Return what the report of a version's check keeps; None without a report, or of one from before they were kept."""
    details = cache.details(model, summary)
    config: ModelConfig | None = details.config
    if config is None or (report := report_digest(cache.store, config, details.version.snapshot)) is None:
        return None
    found: Distributions | None = load_report(cache.store, config.name, report).get("distributions")
    return found

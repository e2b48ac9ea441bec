"""Draw two versions side by side."""

from __future__ import annotations

from include.evaluation.gains import CHURN_UNITS
from include.registry.history.summary import VersionSummary
from include.registry.history.version_differences import differences
from ratchet_ui.cache.page_cache import PageCache
from ratchet_ui.score_tables import metrics_of_both, paired
from ratchet_ui.templating import day, draw, short


def draw_comparison(cache: PageCache, model: str, one: VersionSummary, other: VersionSummary, root: str) -> str:
    """Draw two versions side by side, the older one first.

    Parameters
    ----------
    one, other : VersionSummary
        The older and the newer version.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    mine, theirs = cache.details(model, one), cache.details(model, other)
    return draw(
        "compare.html",
        root,
        model=model,
        one=one,
        other=other,
        titles=_titles(one, other),
        apart=mine.judged_with(theirs),
        differences=differences(mine, theirs),
        paired=paired(one, other, mine, theirs),
        churn_of=CHURN_UNITS[mine.fit.task],
        metrics=metrics_of_both(mine.evidence, theirs.evidence),
    )


def _titles(one: VersionSummary, other: VersionSummary) -> tuple[str, str]:
    """Return the versions' instants, with the beginning of the id where they read the same."""
    days = day(one.as_of), day(other.as_of)
    return days if days[0] != days[1] else (f"{days[0]} ({short(one.id)})", f"{days[1]} ({short(other.id)})")

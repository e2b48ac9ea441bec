"""The segments of a model as one table: the version of each, and the outcome of its newest training."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.config.sections.rows.segments import segment_key
from include.data.segment_log import SegmentLog
from include.errors import RatchetError
from include.registry.history.summary import History
from ratchet_ui.cache.page_cache import PageCache


@dataclass(frozen=True)
class SegmentRow:
    """One segment.

    Attributes
    ----------
    level : str
        The value of the column.
    rows : int or None
        Its labelled training rows in the newest run; None where it had too few of them there.
    history : History
        Of its own ledger.
    untrained : (datetime, str) or None
        As of when it last could not be trained, and why, if no version is of that instant or later.
    unreadable : str or None
        Why its ledger can't be read.
    """

    level: str
    name: str
    rows: int | None
    history: History
    untrained: tuple[datetime, str] | None
    unreadable: str | None


def segment_rows(cache: PageCache, model: str) -> list[SegmentRow]:
    """Return what is known of each level that was ever a segment: those with most rows first, those without enough last.

    Parameters
    ----------
    cache : PageCache
    model : str
        The declared model, of all rows.
    """
    log = SegmentLog(cache.store, model)
    newest, failed, levels = log.newest(), log.why_untrained(), log.ever()
    counts = {one.name: one.rows for one in newest.levels} if newest else {}
    found = cache.histories([segment_key(model, name) for name in levels.values()])
    rows = []
    for level, name in levels.items():
        history = found[segment_key(model, name)]
        readable = history if isinstance(history, History) else History(name, ())
        last, why = readable.newest, failed.get(name)
        untrained = why if why is not None and (last is None or last.as_of < why[0]) else None
        wrong = history.message if isinstance(history, RatchetError) else None
        rows.append(SegmentRow(str(level), name, counts.get(name), readable, untrained, wrong))
    return sorted(rows, key=lambda row: (-(row.rows or 0), row.level))

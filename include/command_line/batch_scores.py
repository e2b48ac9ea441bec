"""The batch scores of a model, for a terminal."""

from __future__ import annotations

from include.command_line.ledger_queries import ledger_of
from include.command_line.ledger_table import draw_table
from include.scoring.deliver import superseded
from include.scoring.publication import Publication, window_of


def batch_scores(model: str) -> str:
    """Return each interval with the scores in force, and who should have made them where that is another version.

    It reads one log an interval, and lists all of them.
    """
    ledger = ledger_of(model)
    folder = f"{model}/scores/"
    names = sorted({key.removeprefix(folder).partition("/")[0] for key in ledger.store.list(folder)})
    timeline = ledger.timeline()
    rows, others = [], 0
    for name in names:
        interval = window_of(name)
        published = Publication(ledger.store, model, interval).manifests()
        if not published:
            continue
        newest = published[-1]
        found = superseded(timeline, [(interval, newest.version)])
        others += len(found)
        note = f"superseded: the champion as of then is {found[0].champion or 'nobody'}" if found else ""
        rows.append([newest.after, newest.until, newest.version, f"{newest.rows:,}", str(len(published)), note])
    table = draw_table(["after", "until", "version", "rows", "published", ""], rows)
    if not others:
        return table
    return f"{table}\n\n{others} to score again: clear or backfill score_{model} for those dates."

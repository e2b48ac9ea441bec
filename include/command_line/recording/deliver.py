"""The command `deliver`: update deliveries to the published scores."""

from __future__ import annotations

from datetime import datetime

from include.command_line.ledger_table import draw_table
from include.command_line.store import airflow_connections, store_of_settings
from include.command_line.watch import declared
from include.scoring.deliver import deliver as deliver_interval
from include.scoring.delivery_log import DeliveryLog, place_of


def deliver(name: str, at: datetime) -> str:
    """Deliver again every interval that was delivered and is not what is published: corrected, rolled back, or with erased rows.

    Parameters
    ----------
    name : str
        The model.
    at : datetime
        The instant that goes on record.
    """
    model, store = declared(name), store_of_settings()
    states = DeliveryLog(store, name).read()
    connections, rows = airflow_connections(), []
    for place in model.score.deliver:
        for (where, interval), state in sorted(states.items()):
            if where != place_of(place):
                continue
            done = deliver_interval(store, model, place, state.window, at=at, connections=connections)
            if done.rows or state.owed:
                rows.append([where, interval, done.manifest.version, f"{done.rows:,}"])
    gone = sorted({where for where, _ in states} - {place_of(place) for place in model.score.deliver})
    left = [f"{where} is no longer declared in `score.deliver`, and stays as it is." for where in gone]
    if not rows:
        return "\n".join(["Everything that was delivered equals what is published.", *left])
    return "\n".join([draw_table(["place", "interval", "version", "rows changed"], rows), *left])

"""Notify a model's team that a run is late."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from include.config.sections.notify import Notification
from ratchet_operators.notify import News, Notify

log = logging.getLogger(__name__)


async def tell_missed_deadline(
    *, model: str, length: str, channels: list[dict[str, Any]], context: dict[str, Any]
) -> None:
    """Send an alarm for a run that is still under way after its model's deadline; a backfill may take its time.

    Airflow calls it in the triggerer, once a run.

    Parameters
    ----------
    length : str
        The deadline as it is declared.
    channels : list of dict
        The channels of `notify`, as JSON.
    context : dict
        What Airflow tells of the run: ``dag_run``, as its REST API has it.
    """
    run = context["dag_run"]
    if run["run_type"] == "backfill":
        return
    page = f"dags/{run['dag_id']}/runs/{quote(run['dag_run_id'], safe='')}"
    news = News("alarm", f"{run['dag_id']} is still {run['state']} {length} after it was queued.", page=page)
    log.warning("%s", news.sentence)
    for channel in channels:
        # It takes its news from a task, of which there is none here. Notifiers wait for an answer: not in the event loop.
        told = {"task": SimpleNamespace(news=news)}
        await asyncio.to_thread(Notify(model, Notification.model_validate(channel)).notify, told)  # type: ignore[arg-type]

"""Notify a model's team of the outcome of a run: one sentence and a link, through Airflow's notifiers.

A task sends its notifications by its own callbacks, in its own process. A process that was killed, ran out of memory or
was lost with its worker says nothing, and Airflow calls no callback of it, or calls it elsewhere and without a reason. So
the DAG's callback checks a failed run again, and sends the notification of failed tasks that sent none.
"""

from __future__ import annotations

import html
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier

from include.config.sections.notify import Event, Notification
from ratchet_operators.links import base_url

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_WORDS: dict[Event, str] = {
    "refused": "data refused",
    "waiting": "approval waiting",
    "data_fault": "broken data",
    "late": "data late",
}


@dataclass(frozen=True)
class News:
    """What a task has to tell.

    Attributes
    ----------
    page : str or None
        Where more is said, below Airflow's own address; the task's log if left out.
    """

    event: Event
    sentence: str
    version: str | None = None
    page: str | None = None


class Notify(BaseNotifier):
    """Send a task's news to one channel. A channel that does not answer is a line in the log, and no reason to fail.

    Parameters
    ----------
    model : str
    channel : Notification
    """

    def __init__(self, model: str, channel: Notification) -> None:
        super().__init__()
        self.model = model
        self.channel = channel

    def notify(self, context: Context) -> None:
        """Send what the task has to tell, if the channel wants to hear it."""
        for news in self.find_news(context):
            if not self.channel.wants(news.event):
                continue
            try:
                # Not called but notified: calling would render what people wrote as a template.
                _notifier(self.channel, self.model, news, _link(context, news)).notify(context)
            except Exception:
                self.log.exception(
                    "%s (%s) could not be notified: %s", self.channel.connection, self.channel.via, news.event
                )

    def find_news(self, context: Context) -> tuple[News, ...]:
        """Return the notification of a task."""
        return news_of(context)


class NotifyOfRun(Notify):
    """Tell of the tasks of a failed run that could not tell themselves."""

    def find_news(self, context: Context) -> tuple[News, ...]:
        """Return which tasks ended without a notification; nothing if each task sent one."""
        run = str(context["run_id"])
        page = f"dags/{context['dag'].dag_id}/runs/{quote(run, safe='')}"
        if context.get("reason") == "timed_out":
            return (News("alarm", f"{run} was ended: it took longer than its `dagrun_timeout`.", page=page),)
        silent = _silent(context)
        if not silent:
            return ()
        what = f"{', '.join(silent)} ended without a word: killed, out of memory, or lost with the worker"
        return (News("alarm", f"{run} failed. {what}.", page=page),)


def recipients_of(model: dict[str, Any]) -> list[BaseNotifier]:
    """Return a notifier for each channel that a model names."""
    return [Notify(str(model["name"]), channel) for channel in _channels(model)]


def task_callbacks(model: dict[str, Any]) -> dict[str, Any]:
    """Return the callbacks by which a model's tasks tell its people; arguments for all of its tasks, mapped ones included.

    They must be default arguments of the DAG: of a mapped task Airflow takes the callbacks that it was declared with, and
    no operator's own.
    """
    people = recipients_of(model)
    if not people:
        return {}
    return {
        "on_success_callback": people,
        "on_skipped_callback": people,
        "on_failure_callback": [*people, _remember],
    }


def run_callbacks(model: dict[str, Any]) -> list[BaseNotifier] | None:
    """Return the callback of a DAG for failed runs; None without a channel."""
    return [NotifyOfRun(str(model["name"]), channel) for channel in _channels(model)] or None


def _channels(model: dict[str, Any]) -> list[Notification]:
    return [Notification.model_validate(channel) for channel in model.get("notify", ())]


_TOLD = "told"


def _remember(context: Context) -> None:
    """Record that the task itself sent a notification of its failure."""
    if context.get("exception") is not None:  # the DAG processor calls it without one, for a process that has ended
        context["ti"].xcom_push(_TOLD, True)


def _silent(context: Context) -> list[str]:
    """Return the failed tasks of a run that sent no notification, with the index of a mapped task."""
    task = context.get("ti")
    if task is None:
        return ["a task"]
    try:
        states = task.get_task_states(dag_id=task.dag_id, run_ids=[task.run_id]).get(task.run_id, {})
        failed = sorted(name for name, state in states.items() if str(state) == "failed")
        return [_shown(name, context) for name in failed if not _told(task, *_parts(name, context))]
    except Exception:
        log.exception("The failed tasks can't be read; the notification names the task that Airflow reports")
        return [task.task_id]


def _parts(name: str, context: Context) -> tuple[str, int]:
    """Return task and map index of a name as Airflow lists them: `train_1` is the second `train`."""
    if context["dag"].has_task(name):
        return name, -1
    task, _, index = name.rpartition("_")
    return task, int(index)


def _shown(name: str, context: Context) -> str:
    task, index = _parts(name, context)
    return task if index < 0 else f"{task}[{index}]"


def _told(task: Any, task_id: str, index: int) -> bool:
    return bool(task.xcom_pull(task_ids=task_id, map_indexes=index, key=_TOLD))


def news_of(context: Context) -> tuple[News, ...]:
    """Return the notification of a task, or one that it failed without a message."""
    news: News | tuple[News, ...] | None = getattr(context["task"], "news", None)
    if news is None and (error := context.get("exception")) is not None:
        said = str(error).strip().splitlines() or [type(error).__name__]
        news = News("alarm", f"{context['task'].task_id} failed: {said[0]}")
    return news if isinstance(news, tuple) else () if news is None else (news,)


def version_page(model: str, version: str) -> str:
    """Return where a version is shown inside Airflow."""
    return f"plugin/models/{model}/versions/{version}"


def watch_page(model: str) -> str:
    """Return where it is shown inside Airflow how a model's champion is watched."""
    return f"plugin/models/{model}/watch"


def _link(context: Context, news: News) -> str:
    page = news.page
    if page is None:
        task = context["ti"]
        page = f"dags/{task.dag_id}/runs/{quote(task.run_id, safe='')}/tasks/{task.task_id}"
    return f"{base_url()}/{page}"


def _notifier(channel: Notification, model: str, news: News, link: str) -> BaseNotifier:
    title = f"{model}: {_WORDS.get(news.event, news.event)}"
    made: BaseNotifier
    if channel.via == "slack":
        from airflow.providers.slack.notifications.slack_webhook import (  # type: ignore[import-not-found,unused-ignore] # an extra
            SlackWebhookNotifier,
        )

        # Slack's three escapes, so that no text becomes a link or a mention.
        text = f"*{title}*\n{html.escape(news.sentence, quote=False)} <{link}|Look>"
        made = SlackWebhookNotifier(slack_webhook_conn_id=channel.connection, text=text)
        return made
    if channel.via == "smtp":
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        body = f"<p>{html.escape(news.sentence)}</p><p><a href='{html.escape(link)}'>{html.escape(link)}</a></p>"
        return SmtpNotifier(to=list(channel.to), subject=title, html_content=body, smtp_conn_id=channel.connection)
    from airflow.providers.http.notifications.http import HttpNotifier

    facts = {"event": news.event, "model": model, "version": news.version, "sentence": news.sentence, "link": link}
    return HttpNotifier(http_conn_id=channel.connection, json=facts, headers={"Content-Type": "application/json"})

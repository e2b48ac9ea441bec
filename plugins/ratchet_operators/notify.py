"""Tell a model's people what became of a run: one sentence and a link, through Airflow's notifiers."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier

from include.config.notify import Event, Notification
from ratchet_operators.links import base_url

if TYPE_CHECKING:
    from airflow.sdk import Context

_WORDS: dict[Event, str] = {"refused": "data refused", "waiting": "approval waiting"}


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
        news = news_of(context)
        if news is None or news.event not in self.channel.on:
            return
        try:
            # Not called but notified: calling would render what people wrote as a template.
            _notifier(self.channel, self.model, news, _link(context, news)).notify(context)
        except Exception:
            self.log.exception("%s (%s) could not be told: %s", self.channel.connection, self.channel.via, news.event)


def told_to(model: dict[str, Any]) -> list[BaseNotifier]:
    """Return a notifier for each channel that a model names."""
    channels = [Notification.model_validate(channel) for channel in model.get("notify", ())]
    return [Notify(str(model["name"]), channel) for channel in channels]


def news_of(context: Context) -> News | None:
    """Return what a task told, or that it failed without a word of its own."""
    news: News | None = getattr(context["task"], "news", None)
    if news is None and (error := context.get("exception")) is not None:
        said = str(error).strip().splitlines() or [type(error).__name__]
        return News("alarm", f"{context['task'].task_id} failed: {said[0]}")
    return news


def version_page(model: str, version: str) -> str:
    """Return where a version is shown inside Airflow."""
    return f"plugin/models/{model}/versions/{version}"


def _link(context: Context, news: News) -> str:
    if news.page:
        return f"{base_url()}/{news.page}"
    task = context["ti"]
    return f"{base_url()}/dags/{task.dag_id}/runs/{quote(task.run_id, safe='')}/tasks/{task.task_id}"


def _notifier(channel: Notification, model: str, news: News, link: str) -> BaseNotifier:
    title = f"{model}: {_WORDS.get(news.event, news.event)}"
    made: BaseNotifier
    if channel.via == "slack":
        from airflow.providers.slack.notifications.slack_webhook import (  # type: ignore[import-not-found,unused-ignore] # an extra
            SlackWebhookNotifier,
        )

        # Slack's own three escapes, so that nobody's text becomes a link or a call.
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

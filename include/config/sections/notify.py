"""Notifications: their recipients, their events, and the Airflow connections that send them."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from include.config.section import Section

Event = Literal["promoted", "held", "rejected", "refused", "waiting", "alarm", "data_fault", "probation", "late"]
_ALARMS = ("data_fault", "probation", "late")
"""Alarms that can be asked for alone: a channel that wants `alarm` is told of them, too."""
EVENTS: tuple[Event, ...] = tuple(event for event in get_args(Event) if event not in _ALARMS)
_PROVIDERS = {"slack": "slack", "smtp": "smtp", "webhook": "http"}


class Notification(Section):
    """One channel, through Airflow's own notifier for it; a message is one sentence and a link."""

    via: Literal["slack", "smtp", "webhook"]
    """`slack`: an incoming webhook. `smtp`: mail. `webhook`: a POST of JSON with `event`, `model`, `version`, `sentence`, `link`."""
    connection: str = Field(min_length=1)
    """The Airflow connection: of type `slackwebhook`, `smtp` or `http`."""
    to: tuple[str, ...] = ()
    """For `smtp`: the addresses."""
    on: tuple[Event, ...] = EVENTS
    """The events that are sent: a version `promoted`, `held` or `rejected`; rows `refused` by a check or their source; an approval `waiting`; an `alarm`: a run that failed for another reason, a version withdrawn, drift, a champion below its expected performance, and the three events that can also be chosen alone: `data_fault` (broken data), `probation` (a champion worse than its predecessor) and `late` (a partition that did not arrive within `data.wait`)."""

    @property
    def provider(self) -> str:
        """The Airflow provider whose notifier it is sent by, as it is installed."""
        return f"apache-airflow-providers-{_PROVIDERS[self.via]}"

    def wants(self, event: Event) -> bool:
        """Tell whether an event is sent to the channel."""
        return event in self.on or (event in _ALARMS and "alarm" in self.on)

    @model_validator(mode="after")
    def _addressed(self) -> Notification:
        if (self.via == "smtp") != bool(self.to):
            raise ValueError("expected `to` with `via: smtp`, and only there")
        return self

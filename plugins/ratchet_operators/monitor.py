"""Watch the champion over one interval, and let follow what has to."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.announce import ChampionOperator
from ratchet_operators.connections import AirflowConnections
from ratchet_operators.links import WatchLink
from ratchet_operators.notify import News, watch_page
from ratchet_operators.operator import as_of, began, now

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from airflow.sdk import BaseOperatorLink, Context

    from include.data.snapshots import Snapshot
    from include.data.windows import Window
    from include.monitoring.monitor import Monitored

_LOOK_AGAIN = timedelta(minutes=5)
_LONGEST = timedelta(hours=6)
"""How long after its date a scheduled run waits for the scores of its interval, which another DAG publishes."""


class Monitor(ChampionOperator):
    """Observe an interval, measure what has matured, tell people, and ask for a retraining.

    While requests wait for a retraining an event of ``x-ratchet://<model>/alarm`` goes out with every success. The event only
    wakes: which requests there are, and which run took them, stands in the watch log.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (WatchLink(),)

    def __init__(self, *, model: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)
        self.inlets = [*self.inlets, alarm_asset(str(model["name"]))]
        self.outlets = [*self.outlets, alarm_events(str(model["name"]))]

    def work(self, context: Context) -> dict[str, Any]:
        """Return small facts about the interval; skipped if nothing was predicted in it."""
        from include.monitoring.monitor import monitor, monitored_interval
        from include.storage.content import to_iso

        config, actor = self.config, self.actor(context)
        interval = monitored_interval(config, as_of(context, config))
        self.backfilled = actor["trigger"] == "backfill"
        found = monitor(
            self.open_store(),
            config,
            self.folder,
            interval,
            at=now(context),
            backfilled=self.backfilled,
            labels=lambda window: self._bring(context, window),
        )
        if found is None:
            self._wait(context, interval)
        self._say(found)
        if found.pending and not self.backfilled:
            self._wake(context, found)
        return {
            "config": self.identity,
            **interval.to_json(),
            "version": found.version,
            "alarms": len(found.alarms),
            "told": len(found.told),
            "asked": None if found.request is None else to_iso(found.request.as_of),
            "pending": len(found.pending),
            "probation": None if found.probation is None else found.probation.verdict.value,
        }

    def look_again(self, context: Context, event: Any = None) -> Any:
        """Go on where the wait was begun."""
        return self.execute(context)

    def _bring(self, context: Context, window: Window) -> Snapshot:
        from include.data.partitions import ingest_window

        return ingest_window(
            self.open_store(),
            self.config,
            self.folder,
            window,
            at=now(context),
            started=began(context),
            connections=AirflowConnections(),
        )

    def _wait(self, context: Context, interval: Window) -> NoReturn:
        """Look again later while the scores may still come, without occupying a worker; skipped after that."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        kind = str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type))
        until: datetime = began(context) + _LONGEST
        if kind == "scheduled" and self.config.schedule.score and now(context) < until:
            at = min(now(context) + _LOOK_AGAIN, until)
            self.log.info(
                "Nothing is predicted yet after %s; it is looked for again at %s.", interval.after, f"{at:%H:%M}"
            )
            self.defer(trigger=DateTimeTrigger(moment=at), method_name="look_again")
        raise AirflowSkipException(
            f"Nothing was predicted after {interval.after:%Y-%m-%d %H:%M} until {interval.until:%Y-%m-%d %H:%M}. "
            f"Run score_{self.config.name} for {interval.until:%Y-%m-%d %H:%M}; then clear this task."
        )

    def _wake(self, context: Context, found: Monitored) -> None:
        from include.storage.content import to_iso

        newest = found.pending[-1]
        extra: dict[str, Any] = {"version": newest.version, "as_of": to_iso(newest.as_of), "alarms": len(newest.alarms)}
        name = self.config.name
        context["outlet_events"][alarm_events(name)].add(alarm_asset(name), extra=extra)
        self.log.info("A retraining is asked for, as of %s: %s", extra["as_of"], "; ".join(newest.alarms))

    def _say(self, found: Monitored) -> None:
        """Log what there is, and set what people are told."""
        for alarm in found.alarms:
            self.log.info("%s, until %s: %s", alarm.kind, alarm.until, alarm.said)
        if self.backfilled:
            for one in found.would_ask:
                self.log.info(
                    "Live it would have asked for a retraining as of %s: %s", one.as_of, "; ".join(one.alarms)
                )
        else:
            self.log.info("Retraining: %s", found.because)
        page = watch_page(self.config.name)
        news = []
        for event, kinds in (("data_fault", ("data_fault",)), ("alarm", ("drift", "performance"))):
            said = [one.said for one in found.told if one.kind in kinds]
            if said:
                more = f" ({len(said) - 3} more)" if len(said) > 3 else ""
                news.append(News(event, "; ".join(said[:3]) + more, found.version, page))  # type: ignore[arg-type] # two of its words
        self.news = tuple(news) or None


def alarm_asset(model: str) -> Asset:
    """Return the asset whose events say that a retraining is asked for."""
    return Asset(name=f"{model}_alarm", uri=f"x-ratchet://{model}/alarm")


def alarm_events(model: str) -> AssetAlias:
    """Return the alias under which tasks emit events of the alarm asset."""
    return AssetAlias(name=f"{model}_retraining_asked")

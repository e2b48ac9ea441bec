"""Watch the champion over one interval, and start what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.alarm_asset import alarm_asset, alarm_events
from ratchet_operators.champion_asset import ChampionOperator
from ratchet_operators.connections import AirflowConnections
from ratchet_operators.lineage import Lineage, rows_of, stored
from ratchet_operators.links import WatchLink
from ratchet_operators.notify import News, version_page, watch_page
from ratchet_operators.run_instants import as_of, began, now, run_type
from ratchet_operators.source_lineage import ingested_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from airflow.sdk import BaseOperatorLink, Context

    from include.config.sections.notify import Event
    from include.data.snapshots import Snapshot
    from include.data.windows import Window
    from include.monitoring.monitor import Monitored
    from include.monitoring.performance.probation import ProbationState
    from include.monitoring.segment_states import SegmentWatched
    from include.storage.store import ObjectStore

_LONGEST = timedelta(hours=6)
"""How long after its date a scheduled run waits for the scores of its interval, which another DAG publishes."""


class Monitor(ChampionOperator):
    """Observe an interval, measure what has matured, tell people, and ask for a retraining.

    While requests wait for a retraining an event of ``x-ratchet://<model>/alarm`` goes out with every success. The event is
    only a trigger: the watch log records the requests, and the runs that took them.
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

        config, actor, store = self.config, self.actor(context), self.open_store()
        interval = monitored_interval(config, as_of(context, config))
        self.backfilled = actor["trigger"] == "backfill"
        self.ingested: list[Snapshot] = []
        found = monitor(
            store,
            config,
            self.folder,
            interval,
            at=now(context),
            backfilled=self.backfilled,
            labels=lambda window: self._ingest(context, window),
        )
        if found is None:
            self._wait(context, interval)
        self._log_and_notify(found)
        self._report_lineage(store, found)
        self.matured: dict[str, Any] | None = None
        if not self.backfilled:
            self._follow(context, found, interval, actor)
        return {
            "config": self.identity,
            **interval.to_json(),
            "version": found.version,
            "alarms": len(found.alarms) + sum(len(one.alarms) for one in found.segments),
            "told": len(found.told) + sum(len(one.told) for one in found.segments),
            "asked": None if found.request is None else to_iso(found.request.as_of),
            "pending": len(found.pending),
            "probation": None if found.probation is None else found.probation.verdict.value,
            "matured": self.matured,
        }

    def _follow(self, context: Context, found: Monitored, interval: Window, actor: dict[str, Any]) -> None:
        """Request the retraining, withdraw a champion that turned out worse, and find a held version to reconsider."""
        from include.monitoring.held_versions import matured
        from include.monitoring.watch_log import WatchLog
        from include.monitoring.withdrawal import withdraw_if_worse
        from include.storage.content import to_iso

        if found.pending:
            self._request_retraining(context, found)
        config, ledger = self.config, self.open_ledger()
        reason = withdraw_if_worse(ledger, config, found.version, actor=actor, at=now(context))
        if reason is not None:
            self.log.warning("%s is withdrawn. %s", found.version, reason)
        for one in found.segments:
            own = self.open_ledger(one.model.name)
            reason = withdraw_if_worse(own, one.model, one.version, actor=actor, at=now(context))
            if reason is not None:
                self.log.warning("%s of segment %s is withdrawn. %s", one.version, one.level, reason)
        self.announce(context, ledger)
        held = matured(ledger, WatchLog(ledger.store, config.name).entries(), config.data.label_delay, interval.until)
        if held is not None:
            said = f"{held.rows:,} labelled rows have matured since it was held, of {held.wanted:,} that it takes"
            self.log.info("%s: %s", held.version, said)
            run = f"matured__{held.version}__{held.decided}"
            self.matured = {"run": run, "version": held.version, "as_of": to_iso(held.as_of), "reason": said}

    def _ingest(self, context: Context, window: Window) -> Snapshot:
        from include.data.ingestion.ingest import ingest_window

        snapshot = ingest_window(
            self.open_store(),
            self.config,
            self.folder,
            window,
            at=now(context),
            started=began(context),
            connections=AirflowConnections(),
        )
        self.ingested.append(snapshot)
        return snapshot

    def _report_lineage(self, store: ObjectStore, found: Monitored) -> None:
        """Tell OpenLineage what was watched: scores or requests with the rows that they are of, and the labels that were brought in."""
        from include.data.snapshots import Snapshot

        name = self.config.name
        manifests = [one for _, one in found.predicted.published] if found.predicted else []
        read = [stored(store, name, "scores", rows=one.rows, version=one.scores) for one in manifests]
        read += [one for each in manifests for one in rows_of(store, Snapshot.load(store, name, each.snapshot))]
        if found.predicted and found.predicted.requests:
            read.append(stored(store, name, "requests"))
        watched = {name: found.version} | {one.model.name: one.version for one in found.segments}
        champions = (stored(store, of, "champion", version=version) for of, version in watched.items())
        logs = tuple(stored(store, of, "watch") for of in watched)
        self.lineage = Lineage((*read, *champions), logs) + ingested_rows(
            self.config, self.folder, store, self.ingested
        )

    def _wait(self, context: Context, interval: Window) -> NoReturn:
        """Look again later while the scores may still come, without occupying a worker; skipped after that."""
        until: datetime = began(context) + _LONGEST
        if run_type(context["dag_run"]) == "scheduled" and self.config.schedule.score and now(context) < until:
            self.wait(context, until, f"There are no predictions yet after {interval.after}.")
        raise AirflowSkipException(
            f"Nothing was predicted after {interval.after:%Y-%m-%d %H:%M} until {interval.until:%Y-%m-%d %H:%M}. "
            f"Run score_{self.config.declared_name} for {interval.until:%Y-%m-%d %H:%M}; then clear this task."
        )

    def _request_retraining(self, context: Context, found: Monitored) -> None:
        from include.storage.content import to_iso

        newest = found.pending[-1]
        extra: dict[str, Any] = {"version": newest.version, "as_of": to_iso(newest.as_of), "alarms": len(newest.alarms)}
        name = self.config.declared_name
        context["outlet_events"][alarm_events(name)].add(alarm_asset(name), extra=extra)
        self.log.info("A retraining is requested, as of %s: %s", extra["as_of"], "; ".join(newest.alarms))

    def _log_and_notify(self, found: Monitored) -> None:
        """Log the results, and set the notification."""
        for alarm in (*found.alarms, *(alarm for one in found.segments for alarm in one.alarms)):
            self.log.info("%s, until %s: %s", alarm.kind, alarm.until, alarm.said)
        if self.backfilled:
            for one in found.would_ask:
                self.log.info(
                    "A live run would have requested a retraining as of %s: %s", one.as_of, "; ".join(one.alarms)
                )
        else:
            self.log.info("Retraining: %s", found.because)
        page = watch_page(self.config.declared_name)
        told, news = [*found.told, *(alarm for one in found.segments for alarm in one.told)], []
        for event, kinds in (("data_fault", ("data_fault",)), ("alarm", ("drift", "performance"))):
            said = [one.said for one in told if one.kind in kinds]
            if said:
                more = f" ({len(said) - 3} more)" if len(said) > 3 else ""
                news.append(News(event, "; ".join(said[:3]) + more, found.version, page))  # type: ignore[arg-type] # two of its words
        if found.concluded and found.probation is not None:
            news.append(self._of_probation(found.predecessor or "", found.probation, found.version))
        news += [
            self._of_probation(one.predecessor or "", one.probation, one.version, one)
            for one in found.segments
            if one.concluded and one.probation is not None
        ]
        self.news = tuple(news) or None

    def _of_probation(
        self, predecessor: str, standing: ProbationState, version: str, of: SegmentWatched | None = None
    ) -> News:
        from include.monitoring.performance.probation import ProbationVerdict
        from include.monitoring.withdrawal import withdrawal_reason

        name, declared = self.config.declared_name, self.config.watch.probation.on_worse
        said = withdrawal_reason(self.config if of is None else of.model, predecessor, standing)
        event: Event = "probation"
        if standing.verdict is ProbationVerdict.WORSE and declared == "ask":
            how = "The button is on its page" if of is None else f"The form of rollback_{name} has the segment"
            event, said = "waiting", f"{said}. Shall it be withdrawn? {how}"
        elif standing.verdict is ProbationVerdict.WORSE and declared == "withdraw":
            said = f"{said}. It is withdrawn"
        whose, page = ("", version_page(name, version)) if of is None else (f" of segment {of.level}", watch_page(name))
        return News(event, f"{version}{whose} on probation is {said}.", version, page)


class ReconsiderMatured(TriggerDagRunOperator):
    """Start ``reconsider_<model>`` for a held version whose rows have matured: once for each time that it was held.

    ``upstream`` was called ``handed``, as in `RatchetOperator`.
    """

    template_fields: Sequence[str] = ("upstream", *TriggerDagRunOperator.template_fields)

    def __init__(self, *, model: dict[str, Any], upstream: Any = None, handed: Any = None, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"reconsider_{model['name']}", skip_when_already_exists=True, **kwargs)
        self.upstream = handed if upstream is None else upstream

    def execute(self, context: Context) -> None:
        """Start it; skipped if nothing has matured, or if it was started before."""
        matured = self.upstream and self.upstream["matured"]
        if not matured:
            raise AirflowSkipException("No held version has the rows that it takes to decide.")
        self.trigger_run_id = matured["run"]
        self.conf = {name: matured[name] for name in ("version", "as_of", "reason")}
        super().execute(context)

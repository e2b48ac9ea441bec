"""Decide on a held version again with rows that have matured since, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BranchMixIn

from ratchet_operators.connections import AirflowConnections
from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.links import PageLink
from ratchet_operators.operator import RatchetOperator, open_store_of
from ratchet_operators.promote import DecisionOperator, news_of_decision
from ratchet_operators.run_instants import as_of, began, now
from ratchet_operators.source_lineage import ingested_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from airflow.sdk import BaseOperatorLink, Context

    from include.data.snapshots import Snapshot
    from include.data.windows import Window
    from include.registry.decisions import Measure
    from include.storage.store import ObjectStore


class _MaturedRows(RatchetOperator):
    """Measure on every row that neither the held version nor the champion was fitted on and that matured by an instant."""

    ingested: tuple[Snapshot, ...] = ()
    """The snapshots that were ingested for it."""

    def matured_rows_evaluator(self, context: Context, instant: datetime) -> Measure:
        """Return what ingests and checks those rows, and measures both models on them."""
        from include.data.ingestion.ingest import ingest_window
        from include.data.quality.check import check
        from include.data.snapshots import Snapshot
        from include.registry.evaluator import evaluator

        config, store = self.config, self.open_store()
        self.ingested = ()

        def ingest(window: Window) -> Snapshot:
            snapshot = ingest_window(
                store,
                config,
                self.folder,
                window,
                at=now(context),
                started=began(context),
                connections=AirflowConnections(),
            )
            report = check(store, config, self.folder, snapshot)
            checked = Snapshot.load(store, config.name, report.snapshot)
            self.ingested = (*self.ingested, checked)
            return checked

        return evaluator(store, self.folder, threads=self.threads, as_of=instant, ingest=ingest)

    def report_rows(self, store: ObjectStore) -> None:
        """Tell OpenLineage which rows were brought in and measured on."""
        self.lineage = (self.lineage or Lineage()) + ingested_rows(self.config, self.folder, store, self.ingested)


class Reconsider(_MaturedRows, BranchMixIn):
    """Bring and check the rows that matured since, measure the held version on them, and ask a person if the policy says so.

    Parameters
    ----------
    decide, approve : str
        The ids of the tasks to go on with: the gate decides, or a person.
    sent : dict or None
        What was sent to this stage, if that is what is decided on; else the form names the version (templated).
    """

    template_fields: Sequence[str] = ("upstream", "sent")
    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Model card"),)

    def __init__(self, *, decide: str, approve: str, sent: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sent = sent
        self.decide = decide
        self.approve = approve

    def work(self, context: Context) -> None:
        """Return what was measured, and follow one branch."""
        from include.registry.approval import needs_approval
        from include.registry.history.card_files import save_card
        from include.registry.ledger import Ledger
        from include.registry.naming.lookup import find_held
        from include.registry.version_states import Trigger, require_held
        from include.storage.content import to_iso

        config, store = self.config, self.open_store()
        instant, ledger = as_of(context, config), Ledger(store, config.name)
        timeline = ledger.timeline()
        version = find_held(timeline, self.sent["version"] if self.sent else context["params"].get("version"))
        decision = timeline[version].decision
        if decision is None or decision.as_of != to_iso(instant):  # else it is this run's own, cleared
            require_held(timeline[version], instant)
        comparison = ledger.measure(config, version, self.matured_rows_evaluator(context, instant), since=instant)
        judgement = comparison.judge(config.gate)
        card = save_card(store, config, comparison, judgement)
        self.page = f"{config.name}/cards/{card}"
        versions = (one for one in (comparison.challenger, comparison.incumbent) if one is not None)
        self.lineage = Lineage(
            tuple(stored(store, config.name, "versions", version=one.id) for one in versions),
            (
                stored(store, config.name, "evidence", version=comparison.digest),
                stored(store, config.name, "cards", version=card),
            ),
        )
        self.report_rows(store)
        if self.stage is not None:  # the pages of this Airflow show what its own store holds
            own = open_store_of(None)
            for key in (f"{self.page}.html", f"{config.name}/evidence/{comparison.digest}.json"):
                own.put_if_absent(key, store.get(key))
        self.log.info("%s %s as of %s. %s", judgement.outcome, version, to_iso(instant), judgement.reason)
        upstream = {
            "config": self.identity,
            "mode": "enforce",
            "version": version,
            "second_look": to_iso(instant),
            "incumbent": comparison.incumbent.id if comparison.incumbent else None,
            "evidence": comparison.digest,
            "outcome": judgement.outcome.value,
            "card": self.page,
        }
        context["ti"].xcom_push("return_value", upstream)  # branching leaves by an exception: what is returned is lost
        person = needs_approval(config.gate.approval, judgement.outcome, Trigger.MANUAL)
        self.do_branch(context, self.approve if person else self.decide)


class DecideAgain(_MaturedRows, DecisionOperator):
    """Record the second decision; measure again if the incumbent has changed since."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return the outcome, and the champion after it."""
        from include.storage.content import from_iso

        config, ledger = self.config, self.open_ledger()
        instant = from_iso(self.upstream["second_look"])
        decision = ledger.reconsider(
            config,
            self.upstream["version"],
            as_of=instant,
            measure=self.matured_rows_evaluator(context, instant),
            actor=self.actor(context),
            at=now(context),
            reply=self.reply,
        )
        self.log.info("%s %s. %s", decision.outcome, decision.version, decision.reason)
        self.report_rows(ledger.store)
        self.report_decisions(ledger, [decision])
        self.announce(context, ledger)
        champion = ledger.timeline().champion
        self.news = news_of_decision(config.declared_name, decision, champion)
        return {**self.upstream, "outcome": decision.outcome.value, "champion": champion}

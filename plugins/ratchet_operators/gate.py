"""Apply the gate's policy to the evidence, and choose one of three branches of the DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BranchMixIn

from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.links import PageLink
from ratchet_operators.operator import RatchetOperator, actor_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperatorLink, Context


class Gate(RatchetOperator, BranchMixIn):
    """Judge the challenger, write its model card, and branch.

    Parameters
    ----------
    promote, approve, keep : str
        The ids of the tasks to go on with: the gate promotes, a person decides, or the champion stays.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Model card"),)

    def __init__(self, *, promote: str, approve: str, keep: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.promote = promote
        self.approve = approve
        self.keep = keep

    def work(self, context: Context) -> None:
        """Return the outcome and its reason, and follow one branch."""
        from include.registry.approval import needs_approval
        from include.registry.evaluator import evaluator
        from include.registry.history.card_files import save_card
        from include.registry.ledger import Ledger
        from include.registry.version_states import Outcome, Trigger

        config, store = self.config, self.open_store()
        ledger, version = Ledger(store, config.name), self.upstream["version"]
        measured = ledger.measure(config, version, evaluator(store, self.folder, threads=self.threads))
        judgement = measured.judge(config.gate)
        for verdict in judgement.verdicts:
            self.log.info("%-10s %s: %s", verdict.answer, verdict.rule, verdict.reason)
        self.log.info("%s %s. %s", judgement.outcome, version, judgement.reason)
        card = save_card(store, config, measured, judgement)
        self.page = f"{config.name}/cards/{card}"
        self.lineage = Lineage(
            (stored(store, config.name, "evidence", version=measured.digest),),
            (stored(store, config.name, "cards", version=card),),
        )
        incumbent = measured.incumbent.id if measured.incumbent else None
        upstream = {**self.upstream, "outcome": judgement.outcome.value, "reason": judgement.reason}
        upstream |= {"incumbent": incumbent, "evidence": measured.digest, "card": self.page}
        context["ti"].xcom_push("return_value", upstream)  # branching leaves by an exception: what is returned is lost
        dry = self.upstream["mode"] == "dry_run"
        trigger = Trigger(actor_of(context)["trigger"]) if dry else ledger.timeline(fresh=False)[version].trigger
        branch = self.promote if judgement.outcome is Outcome.PROMOTE else self.keep
        if needs_approval(config.gate.approval, judgement.outcome, trigger):
            self.log.info("The policy requires the decision of a person.")
            branch = self.approve
        self.do_branch(context, self.keep if dry else branch)

"""Apply the policy to the evidence and send the run down one of two roads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BranchMixIn

from ratchet_operators.links import PageLink
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperatorLink, Context


class Gate(RatchetOperator, BranchMixIn):
    """Judge the challenger, write its model card, and branch.

    Parameters
    ----------
    promote, keep : str
        The ids of the tasks to go on with.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Model card"),)

    def __init__(self, *, promote: str, keep: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.promote = promote
        self.keep = keep

    def work(self, context: Context) -> None:
        """Hand over the outcome and its reason, and leave by one of the roads."""
        from include.registry.cards import save_card
        from include.registry.ledger import Ledger
        from include.registry.measuring import measurer
        from include.registry.timeline import Outcome

        config, store = self.config, self.open_store()
        measured = Ledger(store, config.name).measure(config, self.handed["version"], measurer(store, self.folder))
        judgement = measured.judge(config.gate)
        for verdict in judgement.verdicts:
            self.log.info("%-10s %s: %s", verdict.answer, verdict.rule, verdict.reason)
        self.log.info("%s %s. %s", judgement.outcome, self.handed["version"], judgement.reason)
        self.page = f"{config.name}/cards/{save_card(store, config, measured, judgement)}"
        promoted = judgement.outcome is Outcome.PROMOTE and self.handed["mode"] == "enforce"
        handed = {**self.handed, "outcome": judgement.outcome.value, "reason": judgement.reason}
        context["ti"].xcom_push("return_value", handed)  # branching leaves by an exception: what is returned is lost
        self.do_branch(context, self.promote if promoted else self.keep)

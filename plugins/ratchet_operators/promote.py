"""Record the decision: promote the challenger on one branch, keep the champion on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.champion_asset import ChampionOperator
from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.notify import News, version_page
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from include.config.sections.notify import Event
    from include.registry.approval import ApprovalReply
    from include.registry.version_states import Decision


class DecisionOperator(ChampionOperator):
    """Write a decision to the ledger, with the answer of a person if one was asked.

    Parameters
    ----------
    approval : dict or None
        The answer (templated).
    answered : dict or None
        The former name of `approval`, as of ``handed`` in `RatchetOperator`.
    """

    template_fields: Sequence[str] = ("upstream", "approval")

    def __init__(self, *, approval: Any = None, answered: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approval = answered if approval is None else approval

    @property
    def reply(self) -> ApprovalReply | None:
        """The answer of the person who was asked."""
        from include.registry.approval import ApprovalReply

        return ApprovalReply.from_json(self.approval) if self.approval else None


class _Decide(DecisionOperator):
    """Decide on a version; decide again when the incumbent has changed since it was measured."""

    def decide(self, context: Context) -> Decision:
        """Return the decision in the ledger; ``announced`` tells whether it changed the champion."""
        from include.registry.evaluator import evaluator

        config, ledger = self.config, self.open_ledger()
        decision = ledger.decide(
            config,
            self.upstream["version"],
            measure=evaluator(ledger.store, self.folder, threads=self.threads),
            actor=self.actor(context),
            at=now(context),
            reply=self.reply,
        )
        if decision.incumbent != self.upstream["incumbent"]:
            self.log.info("the incumbent is now %s: measured and decided again", decision.incumbent)
        self.log.info("%s %s. %s", decision.outcome, decision.version, decision.reason)
        self.report_decisions(ledger, [decision])
        self.announced = self.announce(context, ledger) is not None
        self.news = news_of_decision(config.declared_name, decision, ledger.timeline(fresh=False).champion)
        return decision


class Promote(_Decide):
    """Put the challenger in force from its as-of on."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return the decision's outcome; skipped if it is not a promotion after all.

        Of a skipped task Airflow sends no event: where a version fell that had been promoted before, it succeeds.
        """
        from include.registry.version_states import Outcome

        decision = self.decide(context)
        if decision.outcome is not Outcome.PROMOTE and not self.announced:
            raise AirflowSkipException(f"Decided as {decision.outcome} after all: {decision.reason}")
        return {**self.upstream, "outcome": decision.outcome.value}


class KeepChampion(_Decide):
    """Record that the challenger does not go forward; a rejection is a success of the run.

    If the champion that it was measured against is withdrawn meanwhile, it is decided again and may be promoted after all.
    """

    def work(self, context: Context) -> dict[str, Any]:
        """Return the outcome; a dry run leaves no record."""
        if self.upstream["mode"] == "dry_run":
            self.log.info("Dry run: would be %s. %s", self.upstream["outcome"], self.upstream["reason"])
            self.lineage = Lineage(
                (stored(self.open_store(), self.config.name, "evidence", version=self.upstream["evidence"]),)
            )
            return {**self.upstream}
        return {**self.upstream, "outcome": self.decide(context).outcome.value}


def news_of_decision(model: str, decision: Decision, champion: str | None) -> News:
    """Return the notification of a decision.

    Parameters
    ----------
    champion : str or None
        The version that is in force after it.
    """
    event: Event = {"PROMOTE": "promoted", "HOLD": "held"}.get(decision.outcome, "rejected")  # type: ignore[assignment] # three of its words
    sentence = f"{decision.version}, {decision.outcome}: {decision.reason}"
    if event == "promoted" and champion != decision.version:
        sentence = f"{sentence.rstrip('.')}. It fills in history: {champion or 'no version'} is in force."
    return News(event, sentence, decision.version, version_page(model, decision.version))

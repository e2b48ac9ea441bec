"""Ask a person for approval through Airflow's own form, and pass on the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BranchMixIn, Param

from include.config.model import ModelConfig
from ratchet_operators.links import PageLink, root
from ratchet_operators.notify import News, recipients_of
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.sdk import BaseOperatorLink, Context

APPROVE, REJECT = "Approve", "Reject"
_NOTE = "Goes into the ledger beside your name, with either answer."


class Approve(RatchetOperator, HITLOperator, BranchMixIn):
    """Show what was measured, ask for an answer with a reason, and follow the branch of the answer.

    This task records nothing: the task that decides does, since the champion may change meanwhile. A version with a final
    decision is not asked about again.

    Parameters
    ----------
    approved, kept : str
        The ids of the tasks to go on with.
    """

    template_fields: Sequence[str] = ("upstream",)
    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Model card"),)
    inherits_from_skipmixin = True

    def __init__(self, *, model: dict[str, Any], approved: str, kept: str, **kwargs: Any) -> None:
        policy = ModelConfig.model_validate(model).gate.approval
        # Not named as a field of any trigger form: a run's conf would fill it in. Empty, Airflow's form can't be sent.
        note = Param("", type="string", maxLength=500, title="Reason", description=_NOTE)
        super().__init__(
            model=model,
            subject="",  # as the body: known when the task runs
            options=[APPROVE, REJECT],
            defaults=REJECT,
            assigned_users=[{"id": user, "name": user} for user in policy.by] or None,
            response_timeout=policy.within.about(),
            notifiers=recipients_of(model),
            **{**kwargs, "params": {"note": note}},
        )
        self.approved = approved
        self.kept = kept

    def work(self, context: Context) -> Any:
        """Ask, and wait without occupying a worker."""
        from include.registry.history.approval_form import approval_form
        from include.registry.ledger import Ledger
        from include.storage.content import from_iso

        config, store = self.config, self.open_store()
        ledger = Ledger(store, config.name)
        standing = ledger.timeline()[self.upstream["version"]]
        known = standing.decision
        if known is not None and not standing.may_change and known.as_of == self.upstream.get("second_look"):
            self.log.info("%s is decided on already: %s. %s", known.version, known.outcome, known.reason)
            return self._leave(context, None, self.approved if known.outcome == "PROMOTE" else self.kept)
        second = self.upstream.get("second_look")
        left = ledger.left_for(config, self.upstream["version"], since=from_iso(second) if second else None)
        upstream = (self.upstream["version"], self.upstream["incumbent"], self.upstream["evidence"])
        comparison = ledger.comparison(*upstream, left=left)
        judgement = comparison.judge(config.gate)
        self.page = self.upstream["card"]
        question = approval_form(
            config, comparison, judgement, at=f"{root()}/ratchet", card=self.page, stage=self.stage
        )
        self.subject, self.body = question.subject, question.body
        form = f"dags/{context['ti'].dag_id}/runs/{quote(context['ti'].run_id, safe='')}/tasks/{self.task_id}/required_actions"
        self.news = News("waiting", f"{question.subject} {judgement.reason}", self.upstream["version"], form)
        self.log.info("%s Waiting for an answer: %s.", question.subject, config.gate.approval.within)
        return HITLOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return who answered what, and why."""
        from include.registry.approval import ApprovalAnswer, ApprovalReply
        from include.storage.content import to_iso

        if "error" in event:
            self.process_trigger_event_error(event)
        self.page = self.upstream["card"]
        question = {"evidence": self.upstream["evidence"], "incumbent": self.upstream["incumbent"]}
        user, (chosen,) = event["responded_by_user"], event["chosen_options"]
        if user is None:
            self.log.info("Nobody answered in time: the champion stays.")
            return self._leave(context, ApprovalReply(ApprovalAnswer.UNANSWERED, **question), self.kept)
        note = str((event["params_input"] or {}).get("note") or "").strip()
        if len(note) < 3:
            raise ValueError(f"{user['name']} answered {chosen!r} without a reason; it is asked for again.")
        answer = ApprovalAnswer.APPROVED if chosen == APPROVE else ApprovalAnswer.REJECTED
        reply = ApprovalReply(answer, **question, user=user["name"], at=to_iso(event["responded_at"]), note=note)
        self.log.info("%s by %s: %s", answer, reply.user, reply.note)
        return self._leave(context, reply, self.approved if answer is ApprovalAnswer.APPROVED else self.kept)

    def _leave(self, context: Context, reply: Any, branch: str) -> None:
        # Branching leaves by an exception: what is returned is lost.
        context["ti"].xcom_push("return_value", reply.to_json() if reply else None)
        self.do_branch(context, branch)

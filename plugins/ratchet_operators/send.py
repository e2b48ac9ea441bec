"""Send a champion to the store of another stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BranchMixIn

from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.operator import RatchetOperator, open_store_of
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Send(RatchetOperator, BranchMixIn):
    """Copy a promoted version to another stage, verified here and there, and register it in that stage's ledger.

    Parameters
    ----------
    to : str
        A stage of ``RATCHET_STAGES``.
    decide : str or None
        The id of the task to go on with if that stage has not decided on the version; None where its own Airflow decides.
    """

    def __init__(self, *, to: str, decide: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.decide = decide

    def work(self, context: Context) -> Any:
        """Hand over which version was sent, and what was copied."""
        from include.registry.ledger import Ledger
        from include.stages import send
        from include.storage.remembering import RememberingStore

        target = Ledger(RememberingStore(open_store_of(self.to)), self.config.name)
        source = self.open_ledger()
        done = send(
            source,
            target,
            self.config,
            self.folder,
            context["params"].get("version"),
            actor=self.actor(context),
            at=now(context),
        )
        self.lineage = Lineage(
            tuple(stored(source.store, source.model, kind, version=done.version) for kind in ("champion", "versions")),
            (
                stored(target.store, target.model, "versions", version=done.version),
                stored(target.store, target.model, "fits"),
            ),
        )
        state = target.timeline(fresh=False)[done.version]
        self.log.info(
            "%s is in the ledger of %s (%s). %d objects were copied, %d were there already.",
            done.version, self.to, target.store.url, done.objects, done.present,
        )  # fmt: skip
        upstream = {"config": self.identity, "version": done.version, "objects": done.objects, "present": done.present}
        if self.decide is None:
            self.log.info(
                "There it waits for that stage's gate: trigger reconsider_%s with its id.", self.config.declared_name
            )
            return upstream
        context["ti"].xcom_push("return_value", upstream)  # branching leaves by an exception: what is returned is lost
        if not state.waits:
            self.log.info("That stage has decided on it already: %s.", state.decision and state.decision.outcome)
        self.do_branch(context, self.decide if state.waits else None)
        return None

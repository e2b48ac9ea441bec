"""Audit a part of what a model's ledger names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.operator import RatchetOperator
from ratchet_operators.run_instants import now
from ratchet_operators.run_metrics import report_audit

if TYPE_CHECKING:
    from airflow.sdk import Context


class Audit(RatchetOperator):
    """Take the next steps of the audit.

    The task fails without retries while any fault is open, after the fault is recorded.
    """

    def work(self, context: Context) -> dict[str, Any]:
        """Return how far the audit came and what it cost."""
        from include.audit.audit import audit
        from include.audit.audit_log import AuditLog
        from include.errors import AuditFailed

        config, store = self.config, self.open_store()
        audits = config.schedule.audits
        calls = context["params"].get("calls") or (audits.calls if audits else 0)
        run = context["dag_run"].run_id
        done = audit(store, config, self.folder, run=run, calls=calls, at=now(context))
        read = ("ledger", "versions", "fits", "models", "golden", "snapshots", "evidence")
        self.lineage = Lineage(
            tuple(stored(store, config.name, kind) for kind in read), (stored(store, config.name, "audit"),)
        )
        wrong = AuditLog(store, config.name).state().wrong
        report_audit(config.declared_name, len(wrong))
        self.log.info(
            "Steps %s to %s of %s, in %s calls of the store.", done.first + 1, done.last + 1, done.total, done.calls
        )
        if wrong:
            raise AuditFailed(
                f"{len(wrong)} objects that the ledger of {config.declared_name} names are changed or missing, {len(done.wrong)} of them "
                f"found by this run: {wrong[0][0]}.",
                where=f"{store.url}: {config.declared_name}; all of them are on its page and in this log",
                remedy="find out who could write there, and restore the objects from a backup; the next audit then finds no fault",
            )
        return {
            "config": self.identity,
            "steps": [done.first + 1, done.last + 1, done.total],
            "calls": done.calls,
            "complete": done.complete,
        }

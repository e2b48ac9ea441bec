"""Train a version again from its record, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.connections import AirflowConnections
from ratchet_operators.links import PageLink
from ratchet_operators.operator import RatchetOperator, now

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperatorLink, Context


class Reproduce(RatchetOperator):
    """Reproduce the version that the form names, or the champion.

    The task fails for good if it does not reproduce, after the report is stored and linked.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Reproduction"),)

    def work(self, context: Context) -> dict[str, Any]:
        """Return the outcome and the digest of the report."""
        from include.errors import NotReproduced
        from include.registry.ledger import Ledger
        from include.registry.rollback import find_version
        from include.reproduction.page import save
        from include.reproduction.reproduce import reproduce

        config, store = self.config, self.open_store()
        version = find_version(Ledger(store, config.name).timeline(), context["params"].get("version"))
        report = reproduce(
            store,
            config,
            self.folder,
            version,
            at=now(context),
            connections=AirflowConnections(),
            threads=self.threads,
        )
        digest, page = save(store, report)
        self.page = f"{config.name}/reproductions/{page}"
        if not report.reproduced:
            raise NotReproduced(
                report.sentence,
                where=f"{version}; report {digest[:12]}, linked from this task",
                remedy="look at what is not as it was; what was trained and decided stays on record as it is",
            )
        return {
            "config": self.identity,
            "version": version,
            "outcome": report.outcome.value,
            "differences": len(report.differences),
            "report": digest,
        }

"""Measure the challenger against the incumbent and the baselines on identical rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.lineage import Lineage, rows_of, stored
from ratchet_operators.notify import News, version_page
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class Evaluate(RatchetOperator):
    """Measure everything that the gate and the model card need, and return the evidence's digest."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return the incumbent and the digest of the evidence.

        An incumbent that the libraries here make unusable is said to be so; the gate then judges what could be measured.
        """
        from include.data.snapshots import Snapshot
        from include.errors import LibrariesChanged
        from include.registry.evaluator import evaluator
        from include.registry.ledger import Ledger
        from include.scoring.library_check import require_usable

        config, store = self.config, self.open_store()
        measured = Ledger(store, config.name).measure(
            config, self.upstream["version"], evaluator(store, self.folder, threads=self.threads)
        )
        incumbent = measured.incumbent
        rows = rows_of(store, Snapshot.load(store, config.name, measured.evidence.snapshot))
        compared = [measured.challenger] if incumbent is None else [measured.challenger, incumbent]
        versions = (stored(store, config.name, "versions", version=one.id) for one in compared)
        self.lineage = Lineage((*rows, *versions), (stored(store, config.name, "evidence", version=measured.digest),))
        if incumbent is not None:
            try:
                require_usable(store, config, self.folder, incumbent)
            except LibrariesChanged as error:
                self.log.error(str(error))
                self.news = News("alarm", error.message, incumbent.id, version_page(config.declared_name, incumbent.id))
        return {**self.upstream, "incumbent": incumbent.id if incumbent else None, "evidence": measured.digest}

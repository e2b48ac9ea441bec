"""Check the rows against the declared expectations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.lineage import Lineage, LineageDataset, rows_of
from ratchet_operators.links import PageLink
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperatorLink, Context


class Check(RatchetOperator):
    """Run the expectations on a snapshot; hand over the snapshot to go on with.

    A failed critical expectation fails the task for good, after the report is stored and linked.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Quality report"),)

    def work(self, context: Context) -> dict[str, Any]:
        """Return the result of `ingest` with the snapshot left after quarantine."""
        from include.data.quality.check import check
        from include.data.quality.check_report import load_report
        from include.data.snapshots import Snapshot, quarantine_folder
        from include.errors import QualityError

        config, store = self.config, self.open_store()
        snapshot = Snapshot.load(store, config.name, self.upstream["snapshot"])
        try:
            report = check(store, config, self.folder, snapshot)
        except QualityError as error:
            self.page = f"{config.name}/checks/{error.page}"
            found = load_report(store, config.name, error.report)
            self.lineage = Lineage(rows_of(store, snapshot, found["checks"]))
            raise
        found = load_report(store, config.name, report.report)
        excluded = Snapshot.load(store, config.name, report.snapshot).excluded
        place = f"{store.url}/{quarantine_folder(config.name)}"
        aside = () if excluded is None else (LineageDataset(place, rows=report.set_aside, version=excluded),)
        self.lineage = Lineage(rows_of(store, snapshot, found["checks"]), aside)
        self.page = f"{config.name}/checks/{report.page}"
        return {**self.upstream, "snapshot": report.snapshot, "report": report.report}

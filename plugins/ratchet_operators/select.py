"""Choose the challenger among the fitted candidates and give it its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.operator import RatchetOperator
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


NOTHING_NEW = "NOTHING_NEW"
"""The outcome of a run that found the table of a version that is decided on."""


class Select(RatchetOperator):
    """Choose the candidate with the best validation score; the holdout takes no part in it.

    Parameters
    ----------
    fitted : list of dict
        What the training tasks returned (templated).
    """

    template_fields: Sequence[str] = ("upstream", "fitted")

    def __init__(self, *, fitted: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fitted = fitted

    def work(self, context: Context) -> dict[str, Any]:
        """Return the version's id; in earnest, after keeping its golden rows and putting on record that it exists.

        Skipped, and all tasks after it, if an unchanged table leads to a version that is decided on by these very rules.
        """
        from include.registry.challenger_selection import choose_challenger
        from include.scoring.golden import keep_golden
        from include.storage.content import from_iso

        if self.upstream is None:
            raise AirflowSkipException("Nothing was trained.")
        config, ledger = self.config, self.open_ledger()
        fits = {name: key for upstream in self.fitted if upstream for name, key in upstream["fits"].items()}
        failed = {name: why for upstream in self.fitted if upstream for name, why in upstream.get("failed", {}).items()}
        version = choose_challenger(ledger.store, config, from_iso(self.upstream["as_of"]), fits, failed)
        fitted = (stored(ledger.store, config.name, "fits", version=key) for key in fits.values())
        self.lineage = Lineage(tuple(fitted), (stored(ledger.store, config.name, "versions", version=version.id),))
        unchanged = self.upstream.get("looked", self.upstream["as_of"]) != self.upstream["as_of"]
        if unchanged and (stands := ledger.stands(config, version.id)):
            upstream = {**self.upstream, "version": version.id, "outcome": NOTHING_NEW}
            context["ti"].xcom_push("return_value", upstream)
            raise AirflowSkipException(
                f"Nothing new: the table is the same as on {self.upstream['as_of']}, and so are all other inputs of "
                f"a version. {version.id} stands: {stands.outcome}."
            )
        if self.upstream["mode"] == "enforce":
            keep_golden(ledger.store, config, self.folder, version)
            ledger.register(version, actor=self.actor(context), at=now(context))
        return {**self.upstream, "version": version.id}

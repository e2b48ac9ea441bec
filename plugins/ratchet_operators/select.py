"""Choose the challenger among the fitted candidates and give it its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.operator import RatchetOperator, now

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
        What the training tasks handed over (templated).
    """

    template_fields: Sequence[str] = ("handed", "fitted")

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

        if self.handed is None:
            raise AirflowSkipException("Nothing was trained.")
        config, ledger = self.config, self.open_ledger()
        fits = {name: key for handed in self.fitted if handed for name, key in handed["fits"].items()}
        failed = {name: why for handed in self.fitted if handed for name, why in handed.get("failed", {}).items()}
        version = choose_challenger(ledger.store, config, from_iso(self.handed["as_of"]), fits, failed)
        fitted = (stored(ledger.store, config.name, "fits", version=key) for key in fits.values())
        self.lineage = Lineage(tuple(fitted), (stored(ledger.store, config.name, "versions", version=version.id),))
        unchanged = self.handed.get("looked", self.handed["as_of"]) != self.handed["as_of"]
        if unchanged and (stands := ledger.stands(config, version.id)):
            handed = {**self.handed, "version": version.id, "outcome": NOTHING_NEW}
            context["ti"].xcom_push("return_value", handed)
            raise AirflowSkipException(
                f"Nothing new: the table is what it was as of {self.handed['as_of']}, and so is all else that goes into "
                f"a version. {version.id} stands: {stands.outcome}."
            )
        if self.handed["mode"] == "enforce":
            keep_golden(ledger.store, config, self.folder, version)
            ledger.register(version, actor=self.actor(context), at=now(context))
        return {**self.handed, "version": version.id}

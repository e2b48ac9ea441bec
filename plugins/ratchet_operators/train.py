"""Fit one candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from include.config.model import BASELINES
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class Train(RatchetOperator):
    """Fit a candidate, or the baselines, on the training rows of the snapshot.

    Parameters
    ----------
    candidate : str
        A declared candidate's name, or ``baselines``.
    """

    def __init__(self, *, candidate: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def work(self, context: Context) -> dict[str, Any]:
        """Return the keys of the fits, by name."""
        from include.config.settings import Settings
        from include.data.snapshots import Snapshot
        from include.training.fit import fit_candidate

        config = self.config
        if self.candidate != "baselines" and self.candidate not in self.handed["candidates"]:
            raise AirflowSkipException(f"{self.candidate} was not chosen for this run.")
        store = self.open_store()
        snapshot = Snapshot.load(store, config.name, self.handed["snapshot"])
        settings = Settings.from_environment()
        names = BASELINES if self.candidate == "baselines" else (self.candidate,)
        fits = {
            name: fit_candidate(
                store, config, self.folder, snapshot, name, threads=settings.threads, cluster=settings.dask
            ).key
            for name in names
        }
        return {"config": self.identity, "fits": fits}

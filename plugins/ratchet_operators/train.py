"""Fit one candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from include.config.model import BASELINES
from ratchet_operators.lineage import Lineage, rows_of, stored
from ratchet_operators.notify import News
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class Train(RatchetOperator):
    """Fit a candidate, or the baselines, on the training rows of the snapshot.

    A candidate that can't be fitted to these rows does not fail the run: the others go on, and the selected version records
    the failure. Without a baseline there is no version.

    Parameters
    ----------
    candidate : str
        A declared candidate's name, or ``baselines``.
    """

    def __init__(self, *, candidate: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def work(self, context: Context) -> dict[str, Any]:
        """Return the keys of the fits by name, and why a candidate has none."""
        from include.config.settings import Settings
        from include.data.snapshots import Snapshot
        from include.errors import ClusterUnavailable, ConfigError, TrainingError
        from include.training.declared_recipes import equivalent_candidates
        from include.training.fit_candidate import fit_candidate

        config, chosen = self.config, self.upstream["candidates"]
        if self.candidate != "baselines" and self.candidate not in chosen:
            raise AirflowSkipException(f"{self.candidate} was not chosen for this run.")
        # A baseline that is declared just as a candidate is fitted once, where the candidate is.
        fitted_by = {
            baseline: equivalent
            for baseline, equivalent in equivalent_candidates(config).items()
            if equivalent in chosen
        }
        names = [name for name in BASELINES if fitted_by.get(name, "baselines") == self.candidate]
        if self.candidate != "baselines":
            names.insert(0, self.candidate)
        store = self.open_store()
        snapshot = Snapshot.load(store, config.name, self.upstream["snapshot"])
        settings = Settings.from_environment()
        fits: dict[str, str] = {}
        failed: dict[str, str] = {}
        for name in names:
            try:
                fits[name] = fit_candidate(
                    store, config, self.folder, snapshot, name, threads=settings.threads, cluster=settings.dask
                ).key
            except ClusterUnavailable:
                raise
            except (ConfigError, TrainingError) as error:
                if name in BASELINES:
                    raise
                self.log.error("%s was not fitted, and the others go on. %s", name, error)
                self.news = News("alarm", f"The candidate {name} was not fitted, and the others go on: {error.message}")
                failed[name] = error.message
        fitted = (stored(store, config.name, "fits", version=key) for key in fits.values())
        self.lineage = Lineage(rows_of(store, snapshot), tuple(fitted))
        return {"config": self.identity, "fits": fits, "failed": failed}

"""Show in MLflow what a run put on record, where the deployment has an MLflow server."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from include.config.settings import Settings
from ratchet_operators.lineage import Lineage, LineageDataset, stored
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context


class Mirror(RatchetOperator):
    """Bring the model's mirror in MLflow up to what its ledger says.

    Whether it succeeds is of no importance to the run, which is why it is a teardown: it runs after any outcome of the
    others, and its failure fails no run. The next one catches up.
    """

    def work(self, context: Context) -> dict[str, Any]:
        """Return how many versions were brought up to date, and the champion that the alias names."""
        from include.errors import MirrorBehind
        from include.mirror.mlflow_mirror import mirror
        from ratchet_operators.connections import credentials_of

        settings, ledger = Settings.from_environment(), self.open_ledger()
        connection = settings.mlflow_connection
        done = mirror(ledger, credentials=partial(credentials_of, connection) if connection else None)
        self.log.info(
            "%d versions of %s brought up to date; champion: %s", done.written, self.config.declared_name, done.champion
        )
        read = ("ledger", "versions", "evidence", "cards")
        self.lineage = Lineage(
            tuple(stored(ledger.store, ledger.model, kind) for kind in read),
            (LineageDataset(f"{settings.mlflow}/models/{settings.mlflow_name.format(model=ledger.model)}"),),
        )
        if done.wrong:
            raise MirrorBehind(
                f"{len(done.wrong)} versions can't be shown in MLflow: {', '.join(done.wrong)}.",
                found=next(iter(done.wrong.values())),
                remedy="look at what `python -m include verify` says of them",
            )
        return {"config": self.identity, "written": done.written, "champion": done.champion}


def add_mirror(dag: DAG) -> None:
    """Add the task ``mirror`` after all others, if ``RATCHET_MLFLOW`` is set; call it when the DAG has all other tasks."""
    if Settings.from_environment().mlflow is None:
        return
    # Tried once: who comes later brings up to date what this one could not.
    model = dag.default_args["model"]
    task = Mirror(task_id="mirror", model=model, retries=0, execution_timeout=timedelta(minutes=15), dag=dag)
    task.as_teardown()
    task.set_upstream([leaf for leaf in dag.leaves if leaf is not task])

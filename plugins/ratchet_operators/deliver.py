"""Deliver the published scores of an interval to one place that the model declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from ratchet_operators.connections import AirflowConnections
from ratchet_operators.lineage import Lineage, LineageDataset, stored
from ratchet_operators.operator import RatchetOperator
from ratchet_operators.run_instants import now
from ratchet_operators.source_lineage import SqlStatement

if TYPE_CHECKING:
    from airflow.sdk import Context


class Deliver(RatchetOperator):
    """Bring an interval's scores to a table or files, and emit the asset event of ``x-ratchet://<model>/delivered``.

    Parameters
    ----------
    place : dict
        One entry of ``score.deliver``.
    """

    def __init__(self, *, model: dict[str, Any], place: dict[str, Any], **kwargs: Any) -> None:
        # Of a mapped task Airflow asks `partial` for the outlets: the DAG gives them there.
        kwargs["outlets"] = kwargs.get("outlets") or [delivered_asset(str(model["name"]))]
        super().__init__(model=model, **kwargs)
        self.place = place

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was delivered, and of which intervals the scores are not by the champion as of then."""
        from include.config.sections.score import Score
        from include.data.windows import Window
        from include.scoring.deliver import deliver
        from include.scoring.publication import name_of

        (place,) = Score.model_validate({"deliver": [self.place]}).deliver
        store = self.open_store()
        done = deliver(
            store,
            self.config,
            place,
            Window.from_json(self.upstream),
            at=now(context),
            connections=AirflowConnections(),
        )
        facts: dict[str, Any] = {
            "place": place.table if place.kind == "table" else place.path,
            "version": done.manifest.version,
            "after": done.manifest.after,
            "until": done.manifest.until,
            "rows_changed": done.rows,
            "superseded": [f"{name_of(one.interval)} {one.version}" for one in done.superseded],
        }
        manifest = done.manifest
        scores = stored(store, self.config.name, "scores", rows=manifest.rows, version=manifest.scores)
        if place.kind != "table":
            self.lineage = Lineage((scores,), (LineageDataset(place.path),))
        else:
            into = SqlStatement(place.connection, f"INSERT INTO {place.table} SELECT 1")
            self.lineage = Lineage((scores,), statements=(into,))
        context["outlet_events"][delivered_asset(self.config.declared_name)].extra = dict(facts)
        return facts


def delivered_asset(model: str) -> Asset:
    """Return the asset of a model's delivered scores."""
    return Asset(name=f"{model}_delivered", uri=f"x-ratchet://{model}/delivered")

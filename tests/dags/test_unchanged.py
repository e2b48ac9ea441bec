"""A table without event time under Airflow: read twice, it makes one version, and the second run says that nothing is new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.drafting.draft import draft
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

RUN = """
import pendulum
told = []
for date in ("2026-06-01T00:00:00+00:00", "2026-07-01T00:00:00+00:00"):
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    run = bag.dags["retrain_cups"].test(logical_date=pendulum.parse(date), run_conf={"as_of": date})
    told.append({
        "state": run.state,
        "tasks": {f"{ti.task_id}{ti.map_index if ti.map_index >= 0 else ''}": ti.state for ti in run.get_task_instances()},
    })
answer({"runs": told, "dags": sorted(bag.dags)})
"""


def test_an_unchanged_table_skips_all_that_would_make_a_version(in_airflow: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f"{size},{['red', 'blue'][size % 2]},{'yes' if size % 10 > 4 else 'no'}" for size in range(300)]
    (tmp_path / "cups.csv").write_text("\n".join(["size,colour,sold", *rows]))
    made = draft(tmp_path / "models", "cups", tmp_path / "cups.csv", "sold", now=datetime(2026, 5, 1, tzinfo=UTC))
    slow = ("random_forest", "hist_gradient_boosting")
    lines = [line for line in made.path.read_text().splitlines() if not any(name in line for name in slow)]
    made.path.write_text("\n".join(lines))
    settings = {"RATCHET_MODELS": str(tmp_path / "models"), "RATCHET_STORE": (tmp_path / "store").as_uri()}
    found = in_airflow(RUN, **settings)
    first, second = found["runs"]
    assert first["state"] == second["state"] == "success"
    assert first["tasks"]["gate"] == "success" and second["tasks"]["check"] == "success"
    assert {second["tasks"][task] for task in ("select", "evaluate", "gate", "settle")} == {"skipped"}
    assert len(Ledger(LocalStore(tmp_path / "store"), "cups").entries()) == 2
    assert "reconsider_cups" not in found["dags"] and {"score_cups", "rollback_cups"} <= set(found["dags"])

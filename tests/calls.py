"""A model of more than two classes, some of which only some months have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from chain_run import NOW, Done, month, run_chain

from include.config.load import load_model
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.evidence import Evidence, load_evidence
from include.monitoring.monitor import Monitored, monitor
from include.registry.ledger import Ledger
from include.scoring.score import score
from include.storage.local import LocalStore

YAML = """
name: calls
description: Which desk?
owner: tests
task: classification
schedule: {{start: 2024-03-01{ticks}}}
data:
  source: {{kind: python, reader: source:read}}
  event_time: at
  row_id: id
  target: desk
  {positive}
  {data}
  partition: month
  windows: {{train: {train}, holdout: 1mo}}
features: {{numeric: {{columns: [tone, length], scale: standard}}}}
training:
  candidates: [{{estimator: logistic_regression}}]
  cv: {{kind: time_series, folds: 1}}
evaluation: {{metrics: [accuracy, log_loss, f1_macro], resamples: 200{evaluation}}}
gate: {{primary: {{metric: {metric}}}{gate}}}
"""
MORE = {"data": "", "train": "2mo", "evaluation": "", "gate": ""}
"""What a test may say more, and what it is unless it does."""
SOURCE = """
from pathlib import Path

import pyarrow.parquet as pq


def read(start, end):
    yield pq.read_table(Path(__file__).with_name("rows.parquet"), filters=[("at", ">=", start), ("at", "<", end)])
"""


class World:
    """Seven months of calls to some desks; in some months some of them are called otherwise."""

    def __init__(
        self, root: Path, desks: list[str], metric: str, positive: str | None = None, ticks: str = "", **more: str
    ) -> None:
        self.folder, self.store = root / "calls", LocalStore(root / "store")
        self.folder.mkdir(parents=True)
        declared = f"positive: {positive}" if positive else ""
        said = {**MORE, **more, "metric": metric, "positive": declared, "ticks": ticks}
        (self.folder / "model.yaml").write_text(YAML.format(**said))
        (self.folder / "source.py").write_text(SOURCE)
        self.model = load_model(self.folder / "model.yaml")
        rng = np.random.default_rng(0)
        days = np.sort(rng.choice(213 * 86_400, 3500, replace=False))
        at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(days, unit="s")
        tone, length = rng.normal(size=(2, len(at)))
        edges = np.quantile(tone, np.linspace(0, 1, len(desks) + 1)[1:-1])
        desk = np.array(desks, dtype=object)[np.digitize(tone + 0.3 * rng.normal(size=len(at)), edges)]
        at = at.astype("datetime64[us, UTC]")
        self.rows = pd.DataFrame({"at": at, "id": np.arange(len(at)), "tone": tone, "length": length, "desk": desk})

    def rename(self, months: list[int], old: str, new: str, most: int = 10**6) -> None:
        chosen = self.rows.index[self.rows["at"].dt.month.isin(months) & (self.rows["desk"] == old)][:most]
        self.rows.loc[chosen, "desk"] = new

    def run(self, number: int) -> tuple[Evidence, Done]:
        self.rows.to_parquet(self.folder / "rows.parquet", index=False)
        done = run_chain(self.store, self.model, self.folder, month(number))
        return load_evidence(self.store, "calls", done["evaluate"]["evidence"]), done

    @property
    def outcomes(self) -> list[str]:
        return [str(entry.decision.outcome) for entry in Ledger(self.store, "calls").timeline().decisions()]

    def watch(self, number: int) -> Monitored | None:
        """Score and watch a month, with all its labels."""
        self.rows.to_parquet(self.folder / "rows.parquet", index=False)
        score(
            self.store,
            self.model,
            self.folder,
            self._taken_in(window := Window(month(number), month(number + 1))),
            at=NOW,
        )
        return monitor(self.store, self.model, self.folder, window, at=NOW, labels=self._taken_in)

    def _taken_in(self, window: Window) -> Snapshot:
        return ingest_window(self.store, self.model, self.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]

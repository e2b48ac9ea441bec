"""2013's flights, watched day by day: what the summer does, a planted change that is answered, and a bad champion that goes back.

    python -m benchmarks.watch_flights            # a quarter of an hour; prints what docs/watching.md tells
    python -m benchmarks.watch_flights --story    # only what is planted

In the story the answer turns round for three weeks: what used to make a flight late makes it punctual. Watching sees that, asks
for a retraining, and the new model is promoted, rightly. Then the world is as it was, and the champion is the wrong one.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.command_line.watch import watching
from include.config.code import load_function
from include.config.load import load_model
from include.config.model import BASELINES, ModelConfig
from include.config.settings import ROOT
from include.data.ingestion.ingest import ingest, ingest_window
from include.data.quality.check import check
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.monitoring.monitor import Monitored, monitor
from include.monitoring.watch_log import WatchLog
from include.monitoring.withdrawal import withdraw_if_worse
from include.registry.challenger_selection import choose_challenger
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.scoring.golden import keep_golden
from include.scoring.score import score
from include.storage.local import LocalStore
from include.training.fit_candidate import fit_candidate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LIVE = {"trigger": "scheduled", "dag": "watch_flights", "run": "r", "task": "t"}
CHANGED = (datetime(2013, 2, 10, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC))

_SOURCE = """
from pathlib import Path

import pyarrow.parquet as pq


def read(start, end):
    filters = [("scheduled_departure", ">=", start), ("scheduled_departure", "<", end)]
    yield pq.read_table(Path(__file__).with_name("rows.parquet"), filters=filters)
"""
_DECLARED = {
    "schedule": '{retrain: "@monthly", score: "@daily", monitor: "@daily", start: 2013-02-01, end: 2014-01-01}',
    "  partition": "day",
    "  metrics": "[roc_auc, brier]",
    "  slices": "[origin]",
}


@dataclass(frozen=True)
class Told:
    """What one day of the story was."""

    day: datetime
    version: str
    alarms: tuple[str, ...]
    asked: bool
    decided: str | None
    withdrawn: str | None
    pairs: int


class Flights:
    """The shipped model of flights, scored and watched every day.

    Parameters
    ----------
    root : Path
        An empty folder.
    until : datetime
        No later flight is read.
    changed : tuple of datetime, optional
        Between these the answer is turned round.
    windows, watch : str
        As model.yaml has them.
    """

    def __init__(
        self, root: Path, until: datetime, *, windows: str, watch: str, changed: tuple[datetime, datetime] | None = None
    ) -> None:
        self.folder = root / "flight_delay"
        shutil.copytree(ROOT / "include" / "models" / "flight_delay", self.folder)
        self._rows(until, changed)
        (self.folder / "source.py").write_text(_SOURCE)
        path = self.folder / "model.yaml"
        lines = []
        for line in path.read_text().splitlines():
            key = line.partition(":")[0]
            if (
                "hist_gradient_boosting" not in line
                and "guards" not in line
                and "max_loss" not in line
                and "require:" not in line
            ):
                lines.append(f"{key}: {_DECLARED[key]}" if key in _DECLARED else line)
        lines = [
            f"{line}\n  weights: {{half_life: 2d}}" if line.startswith("  imbalance") and changed else line
            for line in lines
        ]
        text = "\n".join(lines).replace("windows: {train: 4mo, holdout: 1mo}", f"windows: {windows}")
        path.write_text(text.replace("slices: [origin]", "slices: [origin]\n  resamples: 200") + f"\nwatch: {watch}\n")
        self.model: ModelConfig = load_model(path)
        self.store = LocalStore(root / "store")
        self.ledger = Ledger(self.store, self.model.name)
        self.log = WatchLog(self.store, self.model.name)

    def _rows(self, until: datetime, changed: tuple[datetime, datetime] | None) -> None:
        read = load_function(self.folder, "source:read")
        table = pa.concat_tables(read(datetime(2013, 1, 1, tzinfo=UTC), until)).sort_by("scheduled_departure")
        if changed is not None:
            at = table["scheduled_departure"]
            inside = pc.and_(pc.greater_equal(at, pa.scalar(changed[0])), pc.less(at, pa.scalar(changed[1])))
            turned = pc.if_else(inside, pc.invert(table["late"]), table["late"])
            table = table.set_column(table.schema.get_field_index("late"), "late", turned)
        pq.write_table(table, self.folder / "rows.parquet", row_group_size=5_000)

    def retrain(self, as_of: datetime) -> str:
        """Train, measure and decide as of an instant; return the outcome."""
        snapshot = ingest(self.store, self.model, self.folder, as_of=as_of, at=NOW, connections=None)  # type: ignore[arg-type]
        report = check(self.store, self.model, self.folder, snapshot)
        checked = Snapshot.load(self.store, self.model.name, report.snapshot)
        names = [*self.model.candidate_names, *BASELINES]
        fits = {name: fit_candidate(self.store, self.model, self.folder, checked, name).key for name in names}
        version = choose_challenger(self.store, self.model, as_of, fits)
        keep_golden(self.store, self.model, self.folder, version.id)
        self.ledger.register(version, actor=LIVE, at=NOW)
        measure = evaluator(self.store, self.folder, threads=1)
        return self.ledger.decide(self.model, version.id, measure=measure, actor=LIVE, at=NOW).outcome.value

    def score(self, after: datetime) -> None:
        """Predict the rows of one day."""
        score(self.store, self.model, self.folder, self._bring(Window(after, after + DAY)), at=NOW)

    def day(self, after: datetime) -> Monitored | None:
        """Score and watch one day."""
        self.score(after)
        window = Window(after, after + DAY)
        return monitor(self.store, self.model, self.folder, window, at=NOW, labels=self._bring)

    def live(self, first: datetime, last: datetime) -> Iterator[Told]:
        """Live through days: score, watch, retrain when it is asked for, take back what turns out worse."""
        after = first
        while after < last:
            found = self.day(after)
            after += DAY
            if found is None:
                continue
            decided = None
            if found.pending:
                taken = self.log.take(f"run {after}", at=NOW)
                decided = self.retrain(max(one.as_of for one in taken))
            withdrawn = withdraw_if_worse(self.ledger, self.model, found.version, actor=LIVE, at=NOW)
            alarms = tuple(f"{one.kind}: {one.said}" for one in found.told)
            pairs = found.probation.rows if found.probation is not None else 0
            yield Told(after - DAY, found.version, alarms, found.request is not None, decided, withdrawn, pairs)

    def _bring(self, window: Window) -> Snapshot:
        return ingest_window(self.store, self.model, self.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]


def story(root: Path, last: datetime) -> tuple[Flights, Iterator[Told]]:
    """Return flights whose answer is turned round from 10 February until 1 March, and their days from then on."""
    flights = Flights(
        root,
        last + DAY,
        windows="{train: 21d, holdout: 14d}",
        watch="{retrain: on_performance, cooldown: 5d, probation: {rows: 20000, within: 30d, on_worse: withdraw}}",
        changed=CHANGED,
    )
    first = CHANGED[0]
    assert flights.retrain(first) == "PROMOTE"  # noqa: S101 (a benchmark)
    return flights, flights.live(first, last)


def summer(root: Path, last: datetime) -> tuple[Flights, Iterator[Told]]:
    """Return the flights as they were, with a champion of 1 May, and their days from then on."""
    flights = Flights(root, last + DAY, windows="{train: 90d, holdout: 28d}", watch="{retrain: never}")
    first = datetime(2013, 5, 1, tzinfo=UTC)
    assert flights.retrain(first) == "PROMOTE"  # noqa: S101 (a benchmark)
    return flights, flights.live(first, last)


def main() -> None:
    """Tell both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--story", action="store_true")
    parser.add_argument("--until", type=datetime.fromisoformat, default=datetime(2013, 9, 1))
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    tales: list[tuple[Any, datetime]] = [(story, datetime(2013, 3, 22, tzinfo=UTC))]
    tales += [] if wanted.story else [(summer, wanted.until.replace(tzinfo=UTC))]
    for tale, last in tales:
        with tempfile.TemporaryDirectory() as folder:
            flights, days = tale(Path(folder), last)
            for told in days:
                said = [*told.alarms, *(["a retraining is asked for"] if told.asked else [])]
                said += [f"retrained: {told.decided}"] if told.decided else []
                said += [told.withdrawn] if told.withdrawn else []
                if said:
                    print(f"{told.day:%Y-%m-%d} {told.version[-10:]} {'; '.join(said)}", flush=True)  # noqa: T201
            print(watching(flights.store, flights.model), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

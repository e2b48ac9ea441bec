"""An interval that is watched may be a part of one that is scored, or hold several: the rows are the same."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from chain_run import NOW

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.schedule_ticks import intervals_over
from include.data.windows import Window
from include.errors import NotEnoughRows
from include.monitoring.drift.references import reference_for
from include.monitoring.drift.watched_version import open_watched_version
from include.monitoring.monitor import monitor, monitored_interval
from include.monitoring.predicted_rows import predicted_in
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.sketches import Sketch, merge
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from tests.watched import APRIL, Watched, day


@pytest.fixture
def world(april: Path, tmp_path: Path) -> Watched:
    shutil.copytree(april, tmp_path / "w")
    folder = tmp_path / "w" / "parcels"
    return Watched(folder, LocalStore(tmp_path / "w" / "store"), load_model(folder / "model.yaml"))


def every(model: ModelConfig, cron: str) -> ModelConfig:
    return model.model_copy(update={"schedule": model.schedule.model_copy(update={"monitor": cron})})


def test_a_week_holds_the_rows_of_its_days_and_the_halves_of_a_day_make_the_day(world: Watched) -> None:
    champion = Ledger(world.store, "parcels").timeline().champion
    assert champion is not None
    layout = reference_for(world.store, world.model, world.folder, champion).reference.layout

    def sketched(cron: str, window: Window) -> bytes:
        found = predicted_in(world.store, every(world.model, cron), window, champion)
        assert found is not None and found.version == champion
        with open_watched_version(world.store, world.model, world.folder, champion) as watching:
            parts = [sketch([one.rows.table], layout) for one in found.parts(watching)]
        said = found.said()
        assert said is not None and said.num_rows == sum(one.rows for one in parts)
        return merge(parts).to_bytes()

    week, days = Window(day(1).after, day(7).until), [day(number) for number in range(1, 8)]
    with open_watched_version(world.store, world.model, world.folder, champion) as watching:
        found = [predicted_in(world.store, world.model, one, champion) for one in days]
        alone = merge(sketch([part.rows.table], layout) for one in found if one for part in one.parts(watching))
    assert sketched("0 0 * * 1", week) == alone.to_bytes()
    noon = day(3).after + timedelta(hours=12)
    halves = [Window(day(3).after, noon), Window(noon, day(3).until)]
    first, second = (Sketch.from_bytes(sketched("0 */12 * * *", one), layout) for one in halves)
    assert 0 < first.rows < (first + second).rows
    assert (first + second).to_bytes() == sketched("@daily", day(3))


def test_a_champion_can_be_watched_week_by_week_though_it_scores_every_day(world: Watched) -> None:
    model = every(world.model, "0 0 * * 1")
    window = monitored_interval(model, APRIL + timedelta(days=14))
    assert window == Window(APRIL + timedelta(days=7), APRIL + timedelta(days=14))
    found = monitor(world.store, model, world.folder, window, at=NOW, labels=world.snapshot)
    assert found is not None and found.history.observed[0].period.rows > 6 * 30


@pytest.mark.parametrize(
    ("cron", "expected"),
    [("@daily", [(3, 4), (4, 5)]), ("0 0 * * 1", [(1, 8)]), ("0 0 1 * *", [(1, 31)])],
)
def test_the_intervals_of_a_schedule_that_share_an_instant_with_another(
    cron: str, expected: list[tuple[int, int]]
) -> None:
    found = intervals_over(cron, day(3).after + timedelta(hours=1), day(4).after + timedelta(hours=1), "UTC")
    assert [((a - APRIL).days + 1, (b - APRIL).days + 1) for a, b in found] == expected


def test_rows_are_read_some_partitions_at_a_time_and_are_the_same_rows(world: Watched) -> None:
    champion = str(Ledger(world.store, "parcels").timeline().champion)
    snapshot = world.snapshot(Window(day(1).after, day(5).until))
    layout = reference_for(world.store, world.model, world.folder, champion).reference.layout
    with open_watched_version(world.store, world.model, world.folder, champion) as watching:
        whole = watching.rows(snapshot, "holdout", labelled=False)
        parts = list(watching.parts(snapshot, rows=1))
    assert len(parts) == 5 and sum(one.table.num_rows for one in parts) == whole.table.num_rows
    assert np.concatenate([one.scored.score for one in parts]).tolist() == whole.scored.score.tolist()
    counted = sketch([one.table for one in parts], layout)
    assert counted.to_bytes() == sketch([whole.table], layout).to_bytes()


def test_an_interval_without_a_row_says_what_is_missing(world: Watched) -> None:
    champion = str(Ledger(world.store, "parcels").timeline().champion)
    snapshot = world.snapshot(day(25))
    with (
        open_watched_version(world.store, world.model, world.folder, champion) as watching,
        pytest.raises(NotEnoughRows, match="holds no row"),
    ):
        list(watching.parts(snapshot))

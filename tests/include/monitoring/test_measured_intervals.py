"""Labels of a month as they came: also of classes that the champion never learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calls import World
from chain_run import month
from segmented import run_segments

from include.command_line.watch import watching
from include.config.load import load_model
from include.data.windows import Window
from include.monitoring.watch_log import WatchLog, measured_in
from include.notebook import load_model as load_version
from include.registry.ledger import Ledger
from include.scoring.publication import Publication

TICKS = ', score: "@monthly", monitor: "@monthly"'


@pytest.mark.parametrize(
    ("desks", "said", "errors"),
    [
        (["bills", "repairs", "sales"], "They count as errors of it", True),
        (["no", "yes"], "were left out of the labelled rows of the intervals shown: chat (40).", False),
    ],
)
def test_rows_of_a_class_that_the_champion_never_learned_are_judged_as_the_gate_does_and_named(
    tmp_path: Path, desks: list[str], said: str, errors: bool
) -> None:
    found = {}
    for name in ("known", "other"):
        world = World(tmp_path / name, desks, "accuracy", ticks=TICKS)
        if name == "other":
            world.rename([4], desks[0], "chat", most=40)
        world.run(4)
        monitored = world.watch(4)
        assert monitored is not None
        (found[name],) = monitored.performance
    assert found["other"].unknown == {"chat": 40} and not found["known"].unknown
    assert "unknown" not in found["known"].to_json(), "what was on record before stays what it was"
    rows = found["known"].rows
    assert found["other"].rows == (rows if errors else rows - 40)
    if errors:
        right = [round(one.scores["accuracy"].value * rows) for one in (found["known"], found["other"])]  # type: ignore[operator]
        assert right[0] - 40 <= right[1] <= right[0] - 30, "forty rows that no answer can be right about"
    assert said in watching(world.store, world.model) and "chat (40)" in watching(world.store, world.model)
    assert measured_in(WatchLog(world.store, "calls").entries(), monitored.version) == monitored.performance


def test_a_champion_is_watched_whose_own_holdout_had_a_class_that_it_never_learned(tmp_path: Path) -> None:
    world = World(tmp_path, ["bills", "repairs", "sales"], "accuracy", ticks=TICKS)
    world.rename([3, 4], "bills", "chat", most=40)
    world.run(4)
    found = world.watch(4)
    assert found is not None and found.kept is not None and found.kept.promised.values == 1
    assert found.performance[0].rows == 478 and found.performance[0].unknown == {}


def test_of_many_classes_too_a_champion_is_held_to_its_predecessor_on_the_rows_that_its_segments_left_it(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, ["bills", "repairs", "sales"], "accuracy", ticks=TICKS)
    path = world.folder / "model.yaml"
    path.write_text(path.read_text() + "segments: {column: line, min_rows: 200}\n")
    world.model = load_model(path)
    rows, rng = world.rows, np.random.default_rng(1)
    rows["line"] = rng.choice(["a", "b", "c"], len(rows), p=[0.6, 0.25, 0.15])
    # One line is told by another column, and from April on desks mean the opposite: champions change.
    told = np.where(rows["line"] == "b", rows["length"], rows["tone"])
    desks = np.array(["bills", "repairs", "sales"])[np.digitize(told, [-0.4, 0.4])]
    later, turned = rows["at"] >= month(4), {"bills": "sales", "sales": "bills"}
    rows["desk"] = np.where(later, [turned.get(one, one) for one in desks], desks)
    rows.to_parquet(world.folder / "rows.parquet", index=False)
    for number in (4, 7):
        run_segments(world.store, world.model, world.folder, month(number))
    found = world.watch(7)
    (before, champion) = (version for _, version in Ledger(world.store, "calls").timeline().champions())
    assert found is not None and found.version == champion
    publication = Publication(world.store, "calls", Window(month(7), month(8)))
    manifest = publication.newest()
    assert manifest is not None and manifest.segments, "a segment's own version has to answer some rows"
    scores = publication.read(manifest).to_pandas()
    mine = rows[rows["id"].isin(scores.loc[scores["version"] == champion, "id"])]
    assert 0 < len(mine) < len(scores)
    store = world.store.root.as_uri()
    right = [
        (load_version("calls", one, store=store).predict(mine)["label"] == mine["desk"]).mean()
        for one in (champion, before)
    ]
    (measured,) = [one for one in found.performance if one.until == month(8)]
    assert measured.rows == len(mine)
    assert measured.scores["accuracy"].value == pytest.approx(right[0], abs=1e-6)
    (paired,) = [one.body for one in WatchLog(world.store, "calls").entries() if one.kind == "paired"]
    assert (paired["version"], paired["predecessor"], paired["rows"]) == (champion, before, len(mine))
    assert paired["gain"] == pytest.approx(right[0] - right[1], abs=1e-6)

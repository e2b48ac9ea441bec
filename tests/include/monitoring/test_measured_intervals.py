"""Labels of a month as they came: also of classes that the champion never learned."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import World

from include.command_line.watch import watching
from include.monitoring.watch_log import WatchLog, measured_in

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
    assert found.performance[0].unknown or found.performance[0].rows

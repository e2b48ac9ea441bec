"""A version that is back in force is held to what it does since, and to nothing that came before or under its successor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from worlds import NOW, World

from include.evaluation.gains import Measured
from include.monitoring.alarms import Observed
from include.monitoring.drift.periods import Period
from include.monitoring.performance.alarms import sound_champion_periods
from include.monitoring.performance.measured import Performance, each_short, promise_kept
from include.monitoring.watch_log import WatchLog
from include.registry.ledger import Ledger

MAY, JUNE, DAY = datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 6, 1, tzinfo=UTC), timedelta(days=1)
ACTOR = {"trigger": "manual"}
NOTHING_BROKEN: frozenset[datetime] = frozenset()


@pytest.fixture(scope="module")
def lived() -> SimpleNamespace:
    """A champion of May that fell short, its successor of June, withdrawn on the twentieth, and July."""
    world = World()
    ledger, log, rng = (
        Ledger(world.store, world.model.name),
        WatchLog(world.store, world.model.name),
        np.random.default_rng(0),
    )
    ids = []
    for month, quality in ((5, 0.70), (6, 0.80)):
        version = world.version(month, quality)
        ledger.register(version, actor=ACTOR, at=NOW)
        ledger.decide(world.model, version.id, measure=world.measure, actor=ACTOR, at=NOW)
        ids.append(version.id)
    first, second = ids

    def watch(version: str, number: int, value: float) -> None:
        after = MAY + number * DAY
        log.observe(Observed(version, Period(after, after + DAY, 100, {})), sources={}, at=NOW)
        scores = {"roc_auc": Measured(value + 0.01 * rng.standard_normal(), None, None)}
        log.measure(Performance(version, after, after + DAY, 100, scores), details="d", labels=None, at=NOW)

    for number in range(31):
        watch(first, number, 0.45)
    for number in range(31, 51):
        watch(second, number, 0.55)
    ledger.withdraw(second, "it was worse", actor=ACTOR, at=NOW)
    for number in (40, 41):  # scored again after the withdrawal, by the version that is back
        watch(first, number, 0.30)
    for number in range(51, 80):
        watch(first, number, 0.70)
    return SimpleNamespace(first=first, second=second, ledger=ledger, log=log, until=MAY + 80 * DAY)


def champion_periods(lived: SimpleNamespace, until: datetime) -> list[list[Performance]]:
    return sound_champion_periods(lived.first, lived.log.entries(), lived.ledger.timeline(), NOTHING_BROKEN, until)


def test_a_champion_that_is_back_is_not_held_to_the_stretch_before_its_successor_or_under_it(
    lived: SimpleNamespace,
) -> None:
    rng = np.random.default_rng(1)
    promised = list(0.70 + 0.01 * rng.standard_normal(30))
    before, since = champion_periods(lived, lived.until)
    assert [one[0].after for one in (before, since)] == [MAY, MAY + 51 * DAY]
    assert (len(before), len(since)) == (31, 29)
    mixed = [*before, *since[:3]]
    assert promise_kept(promised, mixed, "roc_auc", 0.05).short, (
        "taken as one, it would fall short on its third day back"
    )
    assert not promise_kept(promised, since, "roc_auc", 0.05).short
    assert [bool(each_short(promised, one, "roc_auc", 0.05, 5 * DAY)) for one in (before, since)] == [True, False]


def test_what_was_said_at_an_earlier_instant_stays_the_same(lived: SimpleNamespace) -> None:
    (then,) = champion_periods(lived, JUNE)
    assert then == champion_periods(lived, lived.until)[0]


def test_the_successor_has_one_champion_period_of_its_own_intervals(lived: SimpleNamespace) -> None:
    found = sound_champion_periods(
        lived.second, lived.log.entries(), lived.ledger.timeline(), NOTHING_BROKEN, lived.until
    )
    assert [len(one) for one in found] == [20]

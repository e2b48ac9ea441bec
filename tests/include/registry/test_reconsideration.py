"""A held version is decided again on newer rows, without training, and in force only from then on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from worlds import NOW, World

from include.errors import RegistryError
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_held
from include.registry.version_states import Outcome

LIVE = {"trigger": "manual"}


def day(month: int, number: int = 1) -> datetime:
    return datetime(2013, month, number, tzinfo=UTC)


class Held(World):
    """March is champion; May is held, by too few rows to tell."""

    def __init__(self, trigger: str = "backfill") -> None:
        super().__init__()
        self.ledger = Ledger(self.store, self.model.name)
        self.march, self.may = (self.run(month, quality, trigger) for month, quality in ((3, 0.60), (5, 0.61)))

    def run(self, month: int, quality: float, trigger: str = "backfill") -> str:
        version, actor = self.version(month, quality), {"trigger": trigger}
        self.ledger.register(version, actor=actor, at=NOW)
        self.ledger.decide(self.model, version.id, measure=self.measure, actor=actor, at=NOW)
        self.ledger.settle(measure=self.measure, actor=actor, at=NOW)
        return version.id

    def reconsider(self, version: str, as_of: datetime, *, seen: float) -> Outcome:
        """Reconsider by rows on which the version turns out to be of quality ``seen``."""
        self.quality[version] = seen
        return self.ledger.reconsider(
            self.model, version, as_of=as_of, measure=self.measure, actor=LIVE, at=NOW
        ).outcome


def test_a_held_version_that_proves_better_is_in_force_from_then_on_and_not_before():
    world = Held()
    assert find_held(world.ledger.timeline(), None) == world.may
    assert world.reconsider(world.may, day(6, 20), seen=0.66) is Outcome.PROMOTE
    timeline = world.ledger.timeline()
    assert timeline.champion_as_of(day(6, 19)) == world.march
    assert timeline.champion_as_of(day(6, 20)) == timeline.champion == world.may


def test_it_is_measured_against_the_champion_of_that_time_and_not_of_its_own():
    world = Held()
    june = world.run(6, 0.64)
    world.reconsider(world.may, day(7), seen=0.63)
    assert world.measured[-1] == (world.may, june)
    assert world.ledger.timeline()[world.may].decision.outcome is not Outcome.PROMOTE


def test_what_was_reconsidered_is_a_fact_that_settle_leaves_alone():
    world = Held()
    world.reconsider(world.may, day(6, 20), seen=0.66)
    fact = world.ledger.timeline()[world.may].decision
    world.run(4, 0.7)
    assert world.ledger.timeline()[world.may].decision == fact


def test_a_backfill_after_it_in_time_is_decided_against_it():
    world = Held()
    july = world.run(7, 0.64)
    assert world.ledger.timeline()[july].decision.incumbent == world.march
    world.reconsider(world.may, day(6, 20), seen=0.66)
    world.ledger.settle(measure=world.measure, actor=LIVE, at=NOW)
    assert world.ledger.timeline()[july].decision.incumbent == world.may


def test_repeated_it_changes_nothing():
    world = Held()
    for _ in range(2):
        world.reconsider(world.may, day(6, 20), seen=0.612)
    assert [entry.kind for entry in world.ledger.entries()].count("decided") == 3


def test_only_held_versions_can_be_reconsidered_and_only_later():
    world = Held()
    with pytest.raises(RegistryError, match="Only a held version"):
        world.reconsider(world.march, day(9), seen=0.7)
    with pytest.raises(RegistryError, match="No label can have matured"):
        world.reconsider(world.may, day(5), seen=0.7)
    world.reconsider(world.may, day(6, 20), seen=0.66)
    with pytest.raises(RegistryError, match="No version is held"):
        find_held(world.ledger.timeline(), None)

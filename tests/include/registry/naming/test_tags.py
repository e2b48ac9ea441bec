"""Tags: what people say of versions, on record and found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds import NOW, World

from include.errors import RegistryError
from include.registry import timeline
from include.registry.ledger import Ledger
from include.registry.named_objects import NamedObjects
from include.registry.naming.tags import tagged
from tests.opcodes import opcodes_in

ADA = {"trigger": "manual", "user": "ada"}


class Tagged(World):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(self.store, self.model.name)
        self.versions = [self.version(month, 0.6).id for month in (3, 4, 5)]
        for month in (3, 4, 5):
            self.ledger.register(self.version(month, 0.6), actor=ADA, at=NOW)

    def tag(self, number: int, key: str, value: str | None, reason: str = "reviewed") -> dict[str, str]:
        version = self.versions[number]
        return dict(self.ledger.tag(version, key, value, reason, actor=ADA, at=NOW)[version].tags)

    def found(self, *wanted: str) -> list[int]:
        shown = tagged(self.ledger.timeline(), wanted).standings
        return [self.versions.index(one.version) for one in shown]


@pytest.fixture
def world() -> Tagged:
    return Tagged()


def test_a_tag_is_changed_and_taken_away_on_record_and_repeated_writes_nothing(world: Tagged) -> None:
    assert world.tag(0, "reviewed_by", "ada") == {"reviewed_by": "ada"}
    assert world.tag(0, "risk", "low=ish") == {"reviewed_by": "ada", "risk": "low=ish"}
    assert world.tag(0, "risk", "high") == {"reviewed_by": "ada", "risk": "high"}
    events = len(world.ledger.entries())
    world.tag(0, "risk", "high")
    world.tag(1, "risk", None)
    assert len(world.ledger.entries()) == events
    assert world.tag(0, "risk", None, "was wrong") == {"reviewed_by": "ada"}
    body = world.ledger.entries()[-1].body
    assert (body["reason"], body["actor"]["user"], body["value"]) == ("was wrong", "ada", None)


def test_versions_are_found_by_all_of_the_tags_that_are_asked_for(world: Tagged) -> None:
    world.tag(0, "region", "eu")
    world.tag(1, "region", "us")
    world.tag(1, "risk", "low")
    assert (world.found("region"), world.found("region=eu"), world.found("region", "risk=low")) == ([0, 1], [0], [1])
    assert world.found("region=e") == world.found("risk=") == []


@pytest.mark.parametrize(
    ("key", "value", "reason", "message"),
    [
        ("Risk", "low", "said", "key of a tag"),
        ("risk", "", "said", "can't have this value"),
        ("risk", "a\nb", "said", "can't have this value"),
        ("risk", "x" * 257, "said", "can't have this value"),
        ("risk", "low", " ", "needs a reason"),
    ],
)
def test_what_can_not_be_a_tag_is_refused(world: Tagged, key: str, value: str, reason: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        world.tag(0, key, value, reason)


def test_verifying_many_tags_takes_work_that_grows_with_them_and_not_with_their_square() -> None:
    def work(tags: int) -> int:
        world = Tagged()
        for number in range(tags):
            world.tag(number % 3, "risk", str(number))
        named = [entry for entry in world.ledger.entries() if entry.kind == "tagged"]
        walk = NamedObjects(world.ledger, world.ledger.timeline(), Path())
        assert walk.naming(named[-1]) == walk.naming(named[0])  # in any order, too
        return opcodes_in(timeline.__file__, lambda: [walk.naming(entry) for entry in named])

    assert work(40) < 7 * work(10), "four times as many"

"""Aliases: names beside the champion, which people move and nothing decides by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, World

from include.errors import RegistryError
from include.registry.history.champion_changes import champion_changes
from include.registry.ledger import Ledger
from include.registry.naming.aliases import alias_moves
from include.registry.naming.lookup import find_version
from include.registry.rollback import roll_back
from include.registry.timeline import fold

ADA = {"trigger": "manual", "dag": "command line", "run": "alias", "user": "ada"}


class Named(World):
    """March promoted, May held, June promoted, July rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(self.store, self.model.name)
        self.march, self.may, self.june, self.july = (
            self.run(month, quality) for month, quality in ((3, 0.60), (5, 0.61), (6, 0.64), (7, 0.57))
        )

    def run(self, month: int, quality: float) -> str:
        version, actor = self.version(month, quality), {"trigger": "manual", "dag": "d", "run": str(month)}
        self.ledger.register(version, actor=actor, at=NOW)
        self.ledger.decide(self.model, version.id, measure=self.measure, actor=actor, at=NOW)
        return version.id

    def alias(self, name: str, version: str | None, reason: str = "try it", **facts: Any) -> dict[str, str]:
        return self.ledger.alias(name, version, reason, actor=ADA, at=NOW, **facts).aliases


@pytest.fixture
def world() -> Named:
    return Named()


def test_an_alias_moves_on_record_and_is_taken_back_and_the_champion_stays(world: Named) -> None:
    assert world.alias("canary", world.may) == {"canary": world.may}
    assert world.alias("eu", world.march) == {"canary": world.may, "eu": world.march}
    assert world.alias("canary", world.june, "the tenth went well")["canary"] == world.june
    events = len(world.ledger.entries())
    assert world.alias("canary", world.june)["canary"] == world.june
    assert len(world.ledger.entries()) == events, "repeated, nothing more is on record"
    assert world.alias("canary", None, "over") == {"eu": world.march}
    moves = [(move.alias, move.before, move.version) for move in alias_moves(world.ledger.entries())]
    assert moves == [
        ("canary", None, world.may),
        ("eu", None, world.march),
        ("canary", world.may, world.june),
        ("canary", world.june, None),
    ]
    assert world.ledger.entries()[-1].body["actor"]["user"] == "ada"
    assert world.ledger.timeline().champion == world.june
    assert [change.version for change in champion_changes(world.ledger.entries())] == [world.march, world.june]


def test_only_what_the_gate_promoted_or_holds_gets_an_alias_and_a_withdrawn_version_loses_its_own(world: Named) -> None:
    with pytest.raises(RegistryError, match="promoted or holds"):
        world.alias("canary", world.july)
    world.alias("canary", world.may)
    world.ledger.withdraw(world.may, "late feed", actor=ADA, at=NOW)
    assert world.ledger.timeline().aliases == {}
    with pytest.raises(RegistryError, match="promoted or holds"):
        world.alias("canary", world.may)
    assert world.alias("canary", world.june) == {"canary": world.june}


@pytest.mark.parametrize("name", ["champion", "held", "Canary", "", "2013", "beef", "-eu", "e" * 64, "eu west"])
def test_what_is_reserved_or_reads_like_an_id_is_no_alias(world: Named, name: str) -> None:
    with pytest.raises(RegistryError, match="can't be an alias"):
        world.alias(name, world.june)


def test_an_alias_needs_a_reason_and_one_that_nothing_has_can_not_be_taken(world: Named) -> None:
    with pytest.raises(RegistryError, match="reason"):
        world.alias("canary", world.june, "  ")
    world.alias("canary", world.june)
    with pytest.raises(RegistryError, match="did you mean canary"):
        world.alias("canari", None)


def test_a_version_is_found_by_its_alias_and_a_rollback_by_alias_takes_the_one_that_was_meant(world: Named) -> None:
    world.alias("eu", world.march)
    assert find_version(world.ledger.timeline(), "eu") == world.march
    world.ledger.alias("eu", world.june, "moved meanwhile", actor=ADA, at=NOW + timedelta(hours=2))
    clicked = NOW + timedelta(hours=1)
    with pytest.raises(RegistryError, match="changed after this run was triggered"):
        roll_back(world.ledger, "eu", "bad in Spain", asked=clicked, actor={**ADA, "run": "r"}, at=NOW)
    assert world.ledger.timeline().champion == world.june


def test_of_two_writers_the_one_that_lost_the_race_decides_again_on_what_it_then_reads(world: Named) -> None:
    other = Ledger(world.store, world.model.name)
    other.entries()
    world.alias("canary", world.may)
    other.alias("canary", world.june, "mine", actor=ADA, at=NOW)
    assert [(move.before, move.version) for move in alias_moves(world.ledger.entries())] == [
        (None, world.may),
        (world.may, world.june),
    ]


@given(st.lists(st.tuples(st.sampled_from(["canary", "eu", "tag"]), st.integers(0, 3)), max_size=8), st.randoms())
@settings(max_examples=60, deadline=None)
def test_names_change_nothing_of_what_is_decided_wherever_among_the_runs_they_fall(acts, random) -> None:
    def decisions(names: bool) -> Any:
        world = Named.__new__(Named)
        World.__init__(world)
        world.ledger = Ledger(world.store, world.model.name)
        made: list[str] = []
        todo = list(acts) if names else []
        for month, quality in ((6, 0.64), (3, 0.60), (7, 0.57), (5, 0.61)):
            version, actor = world.version(month, quality), {"trigger": "backfill"}
            world.ledger.register(version, actor=actor, at=NOW)
            world.ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=NOW)
            world.ledger.settle(measure=world.measure, actor=actor, at=NOW)
            made.append(version.id)
            while todo and random.random() < 0.7:
                name, which = todo.pop()
                target = made[which % len(made)]
                if name == "tag":
                    world.ledger.tag(target, "note", str(which), "said", actor=ADA, at=NOW)
                elif world.ledger.timeline()[target].in_line:
                    world.alias(name, target)
        timeline = fold(world.ledger.entries())
        return timeline.champions(), [(one.version, one.decision) for one in timeline.standings]

    assert decisions(names=True) == decisions(names=False)

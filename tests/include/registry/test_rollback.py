from __future__ import annotations

from datetime import timedelta

import pytest
from worlds import NOW, World

from include.errors import RegistryError
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_version
from include.registry.rollback import roll_back


def actor(run: str) -> dict[str, str]:
    return {"trigger": "manual", "dag": "rollback_flight_delay", "run": run, "user": "ada"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ledger(world: World) -> Ledger:
    """Three versions, the last one in force; the third was decided by a backfill against the second."""
    ledger = Ledger(world.store, world.model.name)
    for month, quality in ((5, 0.7), (6, 0.8), (7, 0.9)):
        version = world.version(month, quality)
        by = {"trigger": "backfill", "dag": "retrain_flight_delay", "run": f"{month}"}
        ledger.register(version, actor=by, at=NOW)
        ledger.decide(world.model, version.id, measure=world.measure, actor=by, at=NOW)
    assert [standing.in_line for standing in ledger.timeline().standings] == [True, True, True]
    return ledger


def versions(ledger: Ledger) -> list[str]:
    return [standing.version for standing in ledger.timeline().standings]


def test_without_a_name_the_champion_is_withdrawn_and_the_one_before_it_is_in_force(ledger: Ledger) -> None:
    first, second, third = versions(ledger)
    done = roll_back(ledger, None, "wrong units", asked=NOW, actor=actor("r"), at=NOW)
    assert (done.version, done.before, done.champion) == (third, third, second)
    assert ledger.timeline().champion == second
    assert ledger.timeline()[third].withdrawn == "wrong units"
    assert ledger.entries()[-1].body["actor"]["user"] == "ada"
    assert first


def test_repeated_by_the_same_run_it_finds_what_it_did(ledger: Ledger) -> None:
    done = roll_back(ledger, None, "wrong units", asked=NOW, actor=actor("r"), at=NOW)
    count = len(ledger.entries())
    assert roll_back(ledger, None, "wrong units", asked=NOW, actor=actor("r"), at=NOW) == done
    assert len(ledger.entries()) == count
    assert roll_back(ledger, None, "worse still", asked=NOW, actor=actor("s"), at=NOW).version == versions(ledger)[1]


def test_two_clicks_withdraw_the_one_champion_that_was_seen(ledger: Ledger) -> None:
    _, second, third = versions(ledger)
    clicks = (NOW + timedelta(seconds=1), NOW + timedelta(seconds=2))
    done = roll_back(ledger, None, "wrong units", asked=clicks[0], actor=actor("r"), at=NOW + timedelta(seconds=9))
    assert done.version == third
    count = len(ledger.entries())
    with pytest.raises(RegistryError, match="changed after this run was triggered") as caught:
        roll_back(ledger, None, "wrong units", asked=clicks[1], actor=actor("s"), at=NOW + timedelta(seconds=12))
    assert f"to withdraw {second}, name it" in str(caught.value)
    assert (len(ledger.entries()), ledger.timeline().champion) == (count, second)
    again = roll_back(ledger, None, "this one, too", asked=NOW + timedelta(seconds=20), actor=actor("t"), at=NOW)
    assert again.version == second


def test_the_champion_of_a_rollback_is_not_one_that_was_promoted_while_it_waited(ledger: Ledger, world: World) -> None:
    version = world.version(8, 0.99)
    by, later = actor("retrain"), NOW + timedelta(minutes=5)
    ledger.register(version, actor=by, at=later)
    ledger.decide(world.model, version.id, measure=world.measure, actor=by, at=later)
    with pytest.raises(RegistryError, match="changed after this run was triggered"):
        roll_back(ledger, None, "wrong units", asked=NOW + timedelta(minutes=1), actor=actor("r"), at=later)
    assert ledger.timeline().champion == version.id


def test_a_clock_far_ahead_makes_no_rollback_take_another_version_than_the_champion(
    ledger: Ledger, world: World
) -> None:
    version = world.version(8, 0.99)
    by, ahead = actor("retrain"), NOW + timedelta(days=40)
    ledger.register(version, actor=by, at=ahead)
    ledger.decide(world.model, version.id, measure=world.measure, actor=by, at=ahead)
    with pytest.raises(RegistryError, match="changed after this run was triggered"):
        roll_back(ledger, None, "wrong units", asked=NOW + timedelta(days=1), actor=actor("r"), at=NOW)
    done = roll_back(ledger, version.id, "wrong units", asked=NOW + timedelta(days=1), actor=actor("r"), at=NOW)
    assert done.version == version.id


def test_a_version_that_is_not_in_force_can_be_quarantined_and_the_champion_stays(ledger: Ledger) -> None:
    _, second, third = versions(ledger)
    done = roll_back(ledger, second, "leaked label", asked=NOW, actor=actor("r"), at=NOW)
    assert (done.before, done.champion) == (third, third)
    assert done.stale == (third,)


def test_a_withdrawn_version_never_comes_back(ledger: Ledger, world: World) -> None:
    third = versions(ledger)[2]
    roll_back(ledger, third, "wrong units", asked=NOW, actor=actor("r"), at=NOW)
    ledger.decide(world.model, third, measure=world.measure, actor=actor("again"), at=NOW)
    ledger.settle(measure=world.measure, actor=actor("again"), at=NOW)
    assert ledger.timeline().champion == versions(ledger)[1]
    with pytest.raises(RegistryError, match="withdrawn already"):
        roll_back(ledger, third, "once more", asked=NOW, actor=actor("s"), at=NOW)


def test_the_last_promoted_version_can_be_withdrawn_and_then_none_is_in_force(ledger: Ledger) -> None:
    for run in "abc":
        done = roll_back(ledger, None, "start over", asked=NOW, actor=actor(run), at=NOW)
    assert done.champion is None
    with pytest.raises(RegistryError, match="no champion"):
        roll_back(ledger, None, "start over", asked=NOW, actor=actor("d"), at=NOW)


def test_a_misspelt_version_is_answered_with_the_nearest_and_all_there_are(ledger: Ledger) -> None:
    _, second, third = versions(ledger)
    with pytest.raises(RegistryError) as caught:
        find_version(ledger.timeline(), second[:-1] + "x")
    assert f"did you mean {second}" in str(caught.value)
    assert third in str(caught.value)


def test_a_withdrawal_needs_a_reason(ledger: Ledger) -> None:
    with pytest.raises(RegistryError, match="reason"):
        roll_back(ledger, None, "  ", asked=NOW, actor=actor("r"), at=NOW)
    assert versions(ledger)[2] == ledger.timeline().champion


def test_a_version_is_named_by_its_id_or_by_enough_of_the_beginning_of_id_or_digest(ledger: Ledger) -> None:
    first, second, third = versions(ledger)
    timeline = ledger.timeline()
    assert find_version(timeline, second) == find_version(timeline, second[:8]) == second
    assert find_version(timeline, f" {first.partition('-')[2][:5]} ") == first
    assert find_version(timeline, third.partition("-")[2]) == third
    with pytest.raises(RegistryError, match="3 versions begin with 2013") as many:
        find_version(timeline, "2013")
    assert str(many.value).index(third) < str(many.value).index(first), "the newest first"
    for wrong in (third[:3], "2013x", third + "0"):
        with pytest.raises(RegistryError, match="There is no version"):
            find_version(timeline, wrong)


def test_only_what_settle_decides_again_is_named_as_such(ledger: Ledger, world: World) -> None:
    _, second, third = versions(ledger)
    held = world.version(8, 0.5)
    by = {"trigger": "backfill", "dag": "retrain_flight_delay", "run": "8"}
    ledger.register(held, actor=by, at=NOW)
    live = by | {"trigger": "manual"}  # what a live run decides is a fact, whoever registered the version
    assert ledger.decide(world.model, held.id, measure=world.measure, actor=live, at=NOW).incumbent == third
    assert roll_back(ledger, third, "wrong units", asked=NOW, actor=actor("r"), at=NOW).stale == ()
    assert roll_back(ledger, second, "wrong units", asked=NOW, actor=actor("s"), at=NOW).stale == ()
    assert ledger.settle(measure=world.measure, actor=by, at=NOW) == []


def test_a_version_that_can_take_no_place_is_not_registered_by_a_rebuild(ledger: Ledger, world: World) -> None:
    _, second, third = versions(ledger)
    events = len(ledger.entries())
    other = world.version(7, 0.91)
    with pytest.raises(RegistryError, match="same as-of"):
        ledger.rebuild(second, other, proof="0" * 64, actor=actor("r"), at=NOW)
    ledger.withdraw(third, "wrong units", actor=actor("r"), at=NOW)
    with pytest.raises(RegistryError, match="Only a promoted version"):
        ledger.rebuild(third, other, proof="0" * 64, actor=actor("r"), at=NOW)
    assert len(ledger.entries()) == events + 1

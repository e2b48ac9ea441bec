"""A champion that probation finds worse goes back, and a held version comes back when its rows have: once, whatever is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faults import FaultyStore, Killed
from worlds import NOW, PRIMARY_ONLY, MemoryStore, World

from include.config.model import ModelConfig
from include.config.sections.watch import Watch
from include.evaluation.evidence import load_evidence
from include.monitoring.held_versions import Matured, matured
from include.monitoring.performance.measured import Performance
from include.monitoring.performance.probation import Paired, ProbationVerdict, probation_of
from include.monitoring.watch_log import WatchLog, paired_in
from include.monitoring.withdrawal import withdraw_if_worse
from include.registry.gate.required_rows import rows_wanted
from include.registry.ledger import Ledger
from include.storage.content import get_content, read_json
from include.storage.store import ObjectStore

JUNE, DAY = datetime(2013, 6, 1, tzinfo=UTC), timedelta(days=1)
ACTOR = {"trigger": "scheduled", "dag": "monitor_flight_delay", "run": "r", "task": "monitor"}


def declared(on_worse: str) -> ModelConfig:
    watch = Watch.model_validate({"probation": {"rows": 5_000, "margin": 0.005, "on_worse": on_worse}})
    return PRIMARY_ONLY.model_copy(update={"watch": watch})


def decided(world: World, month: int, quality: float, trigger: str = "manual") -> str:
    ledger, version = Ledger(world.store, world.model.name), world.version(month, quality)
    ledger.register(version, actor={"trigger": trigger}, at=NOW)
    ledger.decide(world.model, version.id, measure=world.measure, actor={"trigger": trigger}, at=NOW)
    return version.id


def probation(store: ObjectStore, model: ModelConfig, version: str, before: str, gain: float) -> ProbationVerdict:
    """Watch days until the test is sure, and conclude; what stands already is found."""
    log, error = WatchLog(store, model.name), 1 - model.gate.primary.confidence
    for day in range(40):
        after = JUNE + day * DAY
        jitter = 0.004 * (-1) ** day
        log.pair(Paired(version, before, after, after + DAY, 120, gain + jitter), at=NOW)
        pairs = [one for one in paired_in(log.entries(), version, before) if one.until <= after + DAY]
        standing = probation_of(pairs, JUNE, model.watch.probation, error)
        if standing.verdict is not ProbationVerdict.RUNNING:
            assert log.conclude(version, before, standing, after + DAY, at=NOW)
            return standing.verdict
    raise AssertionError("not sure within 40 days")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def pair(world: World) -> tuple[str, str]:
    return decided(world, 5, 0.70), decided(world, 6, 0.80)


def test_a_champion_that_is_worse_is_withdrawn_on_record_with_the_pairs_that_say_so(
    world: World, pair: tuple[str, str]
) -> None:
    before, version = pair
    model = declared("withdraw")
    assert probation(world.store, model, version, before, -0.03) is ProbationVerdict.WORSE
    ledger = Ledger(world.store, model.name)
    reason = withdraw_if_worse(ledger, model, version, actor=ACTOR, at=NOW)
    assert reason is not None and "worse: roc_auc differs by -0.0" in reason and before in reason
    assert ledger.timeline().champion == before
    body = ledger.entries()[-1].body
    evidence = read_json(get_content(world.store, f"{model.name}/watch/probations", ".json", body["evidence"]))
    verdict = evidence["verdict"]
    again = probation_of(
        [Paired.from_json(one) for one in evidence["pairs"]], JUNE, model.watch.probation, 1 - evidence["confidence"]
    )
    assert again.to_json() == {name: verdict[name] for name in again.to_json()}
    assert again.rows <= model.watch.probation.rows + 120, "within the declared rows"
    assert withdraw_if_worse(ledger, model, version, actor=ACTOR, at=NOW) is None


def test_a_champion_that_was_rebuilt_on_probation_is_withdrawn_for_what_was_measured_before(
    world: World, pair: tuple[str, str]
) -> None:
    before, version = pair
    model, ledger = declared("withdraw"), Ledger(world.store, world.model.name)
    assert probation(world.store, model, version, before, -0.03) is ProbationVerdict.WORSE
    rebuilt = world.version(6, 0.81)
    ledger.rebuild(version, rebuilt, proof="0" * 64, actor=ACTOR, at=NOW)
    assert ledger.timeline().champion == rebuilt.id
    assert withdraw_if_worse(ledger, model, rebuilt.id, actor=ACTOR, at=NOW) is not None
    assert ledger.timeline().champion == before


@pytest.mark.parametrize(("on_worse", "gain"), [("tell", -0.03), ("ask", -0.03), ("withdraw", 0.03), ("withdraw", 0.0)])
def test_nothing_is_withdrawn_unless_it_is_worse_and_declared(
    world: World, pair: tuple[str, str], on_worse: str, gain: float
) -> None:
    before, version = pair
    probation(world.store, declared(on_worse), version, before, gain)
    ledger = Ledger(world.store, world.model.name)
    assert withdraw_if_worse(ledger, declared(on_worse), version, actor=ACTOR, at=NOW) is None
    assert ledger.timeline().champion == version


def test_a_version_that_another_has_followed_is_left_alone(world: World, pair: tuple[str, str]) -> None:
    before, version = pair
    probation(world.store, declared("withdraw"), version, before, -0.03)
    newest = decided(world, 7, 0.90)
    ledger = Ledger(world.store, world.model.name)
    assert withdraw_if_worse(ledger, declared("withdraw"), version, actor=ACTOR, at=NOW) is None
    assert ledger.timeline().champion == newest


def test_a_version_whose_predecessor_was_withdrawn_meanwhile_is_not_given_up_for_one_that_it_was_not_compared_with(
    world: World,
) -> None:
    oldest, before, version = decided(world, 4, 0.60), decided(world, 5, 0.70), decided(world, 6, 0.80)
    model, ledger = declared("withdraw"), Ledger(world.store, world.model.name)
    assert probation(world.store, model, version, before, -0.03) is ProbationVerdict.WORSE
    ledger.withdraw(before, "its rows were wrong", actor=ACTOR, at=NOW)
    assert withdraw_if_worse(ledger, model, version, actor=ACTOR, at=NOW) is None
    assert ledger.timeline().champion == version
    assert probation(world.store, model, version, oldest, -0.03) is ProbationVerdict.WORSE
    assert withdraw_if_worse(ledger, model, version, actor=ACTOR, at=NOW) is not None
    assert ledger.timeline().champion == oldest


def test_killed_at_any_call_of_the_store_and_repeated_there_is_one_verdict_and_one_withdrawal(
    world: World, pair: tuple[str, str]
) -> None:
    before, version = pair
    model, first = declared("withdraw"), dict(world.store.objects)  # type: ignore[attr-defined]

    def run(store: Any) -> None:
        probation(store, model, version, before, -0.03)
        withdraw_if_worse(Ledger(store, model.name), model, version, actor=ACTOR, at=NOW)

    def record(store: Any) -> Any:
        return [
            [(one.kind, one.body) for one in log.entries()]
            for log in (WatchLog(store, model.name), Ledger(store, model.name))
        ]

    def copied() -> MemoryStore:
        store = MemoryStore()
        store.objects = dict(first)
        return store

    counted = FaultyStore(copied())
    run(counted)
    expected = record(counted.store)
    assert expected[1][-1][0] == "withdrawn"
    for number in range(1, counted.calls + 1, 2):
        for mode in ("before", "after"):
            store = copied()
            with pytest.raises(Killed):
                run(FaultyStore(store, fail_at=number, mode=mode))  # type: ignore[arg-type]
            run(store)
            assert record(store) == expected


def held(world: World) -> tuple[str, int]:
    """Return a version that was held, and how many rows it asks for."""
    decided(world, 5, 0.70)
    version = decided(world, 6, 0.71)
    ledger = Ledger(world.store, world.model.name)
    decision = ledger.timeline()[version].decision
    assert decision is not None and decision.outcome == "HOLD" and decision.evidence is not None
    wanted = rows_wanted(world.model.gate, load_evidence(world.store, world.model.name, decision.evidence))
    assert wanted is not None and f"{wanted:,} more labelled rows decide" in decision.reason
    return version, wanted


def come(world: World, version: str, day: int, rows: int) -> None:
    after = JUNE + day * DAY
    found = Performance(version, after, after + DAY, rows, {})
    WatchLog(world.store, world.model.name).measure(found, details="d", labels=None, at=NOW)


def look(world: World, day: int) -> Matured | None:
    entries = WatchLog(world.store, world.model.name).entries()
    ledger = Ledger(world.store, world.model.name)
    return matured(ledger, entries, world.model.data.label_delay, JUNE + (day + 1) * DAY)


def test_a_held_version_matures_when_the_rows_that_it_asked_for_have_and_at_that_instant_whoever_looks_when(
    world: World,
) -> None:
    version, wanted = held(world)
    a_day = wanted // 5 + 1
    for day in (4, 0, 2, 1, 3):
        assert look(world, 30) is None
        come(world, "the champion", day, a_day)
    delay = world.model.data.label_delay
    for day in (5, 9, 30):
        found = look(world, day)
        assert found is not None and (found.version, found.wanted, found.rows) == (version, wanted, 5 * a_day)
        assert found.as_of == JUNE + 5 * DAY + delay
    assert look(world, 3) is None, "a backfilled look from before sees no row of later"


def test_rows_that_it_was_held_on_do_not_count_and_a_version_before_the_champion_is_not_looked_at(
    world: World,
) -> None:
    _, wanted = held(world)
    come(world, "the champion", -10, 2 * wanted)
    assert look(world, 30) is None
    come(world, "the champion", 1, 2 * wanted)
    assert look(world, 30) is not None
    decided(world, 7, 0.90)
    assert look(world, 30) is None

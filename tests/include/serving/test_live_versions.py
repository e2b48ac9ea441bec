from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import declare, month, run_chain

from include.errors import StoreUnavailable
from include.registry.ledger import Ledger
from include.scoring.golden import PREDICTED, load_golden
from include.serving import live_versions
from include.serving.live.served import RETRY_SECONDS
from include.storage.content import put_content
from tests.faults import FaultyStore
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]


class AwayStore:
    """Does not answer while it is told so."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.url, self.parallel = store.url, store.parallel
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise StoreUnavailable("the store did not answer")
        return getattr(self.store, name)


def answers(served: Served) -> str | None:
    answer = served.post(as_json(served.world.rows(1)))
    return answer.headers.get("x-ratchet-version")


def test_a_new_champion_answers_at_the_next_look(start: Start, world: World) -> None:
    served = start()
    before = answers(served)
    run_chain(world.store, world.model, world.folder, month(10))
    new = world.ledger.timeline().champion
    assert new is not None and new != before, "the world needs a third champion"
    assert answers(served) == before
    served.look()
    assert answers(served) == new


def test_after_a_rollback_the_champion_before_answers(start: Start, world: World) -> None:
    served, (first, second) = start(), world.champions
    assert answers(served) == second
    world.withdraw(second)
    served.look()
    assert answers(served) == first
    world.withdraw(first)
    served.look()
    answer = served.post(as_json(world.rows(1)))
    assert answer.status_code == 503 and "retry-after" in answer.headers


@pytest.mark.parametrize("events", [6, 40])
def test_a_look_without_news_is_one_call_of_the_store_whatever_the_history(
    start: Start, world: World, events: int
) -> None:
    body = {"version": world.champions[0], "reason": "again", "actor": {}}
    for _ in range(len(world.ledger.entries()), events):
        world.ledger._log.append(lambda _: ("withdrawn", body), at="2026-01-01T00:00:00Z")
    assert len(world.ledger.entries()) >= events
    counted = FaultyStore(world.store)
    served = start(store=counted)
    before = counted.calls
    served.look()
    assert counted.calls == before + 1


def test_while_the_store_is_away_what_is_served_stays_and_then_goes_on(start: Start, world: World) -> None:
    store = AwayStore(world.store)
    served, (first, second) = start(store=store), world.champions
    store.away = True
    world.withdraw(second)
    for _ in range(3):
        served.look()
    assert answers(served) == second
    store.away = False
    served.look()
    assert answers(served) == first


def test_a_store_that_is_away_at_the_start_is_asked_until_it_answers(start: Start, world: World) -> None:
    store = AwayStore(world.store)
    store.away = True
    served = start(store=store)
    assert served.client.get("/v2/health/live").status_code == 200
    assert served.client.get("/v2/health/ready").status_code == 503
    assert served.post(as_json(world.rows(1))).status_code == 503
    store.away = False
    served.look()
    assert served.client.get("/v2/health/ready").status_code == 200
    assert answers(served) == world.champions[-1]


def test_a_model_that_does_not_answer_takes_no_other_out_of_service(start: Start, world: World) -> None:
    declare(world.root / "crates", name="crates")  # never trained
    served = start(names=("parcels", "crates"), look=False)
    assert served.client.get("/v2/health/ready").status_code == 503
    served.look()
    assert served.client.get("/v2/health/ready").status_code == 200
    assert served.client.get("/v2/models/parcels/ready").status_code == 200
    assert served.client.get("/v2/models/crates/ready").status_code == 503
    for version in reversed(world.champions):
        world.withdraw(version)
        served.look()
    assert served.client.get("/v2/health/ready").status_code == 503, "nothing answers"


def change_golden(world: World, version: str) -> None:
    (golden,) = load_golden(world.store, "parcels", version)
    values = [[one[0] + 0.001] for one in golden[PREDICTED].to_pylist()]
    changed = golden.drop_columns([PREDICTED]).append_column(PREDICTED, pa.array(values))
    sink = pa.BufferOutputStream()
    pq.write_table(changed, sink, write_page_checksum=True)
    put_content(world.store, f"parcels/golden/{version}", ".parquet", sink.getvalue().to_pybytes())


def test_a_version_that_does_not_predict_its_golden_rows_is_not_served(start: Start, world: World) -> None:
    first, second = world.champions
    change_golden(world, second)
    served = start()
    answer = served.post(as_json(world.rows(1)))
    assert answer.status_code == 503
    problem = served.live.models["parcels"].problem
    assert problem is not None and "golden" in problem
    world.withdraw(second)
    served.look()
    assert answers(served) == first


def test_a_version_whose_loading_failed_by_any_error_is_tried_again(
    start: Start, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, opened = start(look=False), live_versions.open_served

    def full(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(live_versions, "open_served", full)
    with pytest.raises(OSError, match="No space"):
        served.look()
    monkeypatch.setattr(live_versions, "open_served", opened)
    served.look()
    assert served.post(as_json(world.rows(1))).status_code == 503, "not at once"
    served.live.models["parcels"].look(time.monotonic() + RETRY_SECONDS)
    assert answers(served) == world.champions[-1]


def test_what_can_not_be_compiled_by_any_error_is_tried_once(
    start: Start, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strange(*arguments: Any) -> Any:
        raise AttributeError("a step of another library")

    monkeypatch.setattr("include.serving.live.served.SingleRow", strange)
    served = start()
    champion = served.live.models["parcels"].champion
    assert champion is not None and champion.compiled and answers(served) == champion.version


def test_the_champion_before_answers_on_where_the_new_one_is_refused(start: Start, world: World) -> None:
    served, before = start(), world.champions[-1]
    run_chain(world.store, world.model, world.folder, month(10))
    change_golden(world, world.champions[-1])
    served.look()
    assert answers(served) == before


def test_a_withdrawn_version_answers_no_more_even_if_no_other_can_be_loaded(start: Start, world: World) -> None:
    served, (first, second) = start(), world.champions
    change_golden(world, first)
    world.withdraw(second)
    served.look()
    assert served.post(as_json(world.rows(1))).status_code == 503


def test_a_version_from_before_golden_rows_were_kept_is_served(start: Start, world: World) -> None:
    for key in list(world.store.list("parcels/golden/")):
        (world.store.root / key).unlink()
    assert answers(start()) == world.champions[-1]


def test_columns_are_derived_by_the_code_that_the_version_was_fitted_with(start: Start, world: World) -> None:
    rows = world.rows(20)
    expected = world.expected(world.champions[-1], rows)
    path = world.folder / "features.py"
    path.write_text(path.read_text().replace("evening=", "weight=0.0, evening="))
    found = start().post(as_json(rows)).json()["predictions"]
    assert [one["prediction"] for one in found] == expected


def test_no_more_than_two_versions_are_in_memory(start: Start, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    from include.serving.live import served as opening
    from include.serving.live.served import Served as Loaded

    world.add("serving: {request_log: {}, challenger: {version: predecessor}}\n")
    most, load = 0, opening.open_predictor

    def counted(*arguments: Any) -> Any:
        nonlocal most
        gc.collect()
        most = max(most, 1 + sum(isinstance(one, Loaded) for one in gc.get_objects()))
        return load(*arguments)

    monkeypatch.setattr(opening, "open_predictor", counted)
    served, (first, second) = start(), world.champions
    beside = served.live.models["parcels"].beside
    assert beside is not None and beside.version == first
    del beside
    run_chain(world.store, world.model, world.folder, month(10))
    served.look()
    model = served.live.models["parcels"]
    assert model.beside is not None and model.beside.version == second
    world.withdraw(world.champions[-1])
    served.look()
    assert model.champion is not None and model.champion.version == second
    assert model.beside is not None and model.beside.version == first
    assert most == 2


def test_a_compiled_form_is_used_only_where_it_gives_the_same_numbers(start: Start, world: World) -> None:
    served = start()
    assert served.live.models["parcels"].champion.single is not None  # type: ignore[union-attr]
    path = world.folder / "online.py"
    path.write_text(path.read_text().replace("return {", 'return {"weight": -1.0, '))
    other = start()
    assert other.live.models["parcels"].champion.single is None  # type: ignore[union-attr]
    (row,) = as_json(world.rows(1))
    assert served.post([row]).json()["predictions"] == other.post([row]).json()["predictions"]


def test_a_champion_is_compiled_though_what_is_to_predict_beside_it_is_refused(start: Start, world: World) -> None:
    world.add("serving: {request_log: {}, challenger: {version: predecessor}}\n")
    change_golden(world, world.champions[0])
    served = start().live.models["parcels"]
    assert served.beside is None and served.champion is not None
    assert served.champion.single is not None


def test_a_champion_is_compiled_once_the_store_answers_again(start: Start, world: World) -> None:
    class NoRows(AwayStore):
        def get(self, key: str) -> bytes:
            if self.away and key.startswith("parcels/partitions/"):
                raise StoreUnavailable("the store did not answer")
            return bytes(self.store.get(key))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

    store = NoRows(world.store)
    store.away = True
    served = start(store=store)
    champion = served.live.models["parcels"].champion
    assert champion is not None and champion.single is None and answers(served) == champion.version
    store.away = False
    served.look()
    assert champion.single is not None


def test_a_broken_function_for_one_row_is_not_used(start: Start, world: World) -> None:
    (world.folder / "online.py").write_text("def derive(row):\n    raise SystemError('no')\n")
    served = start()
    assert served.live.models["parcels"].champion.single is None  # type: ignore[union-attr]
    assert answers(served) == world.champions[-1]


def test_a_model_without_a_champion_is_said_so(tmp_path: Path, start: Start, world: World) -> None:
    for key in list(world.store.list("parcels/ledger/")):
        (world.store.root / key).unlink()
    served = start()
    answer = served.post(as_json(world.rows(1)))
    assert answer.status_code == 503 and "no champion" in answer.json()["error"]
    assert Ledger(world.store, "parcels").timeline().champion is None

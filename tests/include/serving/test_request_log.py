from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, month, run_chain
from prometheus_client import REGISTRY

from include.config.load import load_model
from include.errors import ConfigError, StoreUnavailable
from include.serving.prediction_service import share_of
from include.serving.protocol.open_inference import example_request
from include.serving.protocol.row_schema import Column
from include.storage.store import ObjectStore
from tests.include.serving.conftest import Process, Served, World, as_json
from tests.include.serving.test_live_versions import AwayStore, answers

Start = Callable[..., Served]


def logged(store: ObjectStore) -> pd.DataFrame:
    """Return all rows of the request log."""
    bodies = [store.get(key) for key in store.list("parcels/requests/")]
    frames = [pd.read_parquet(io.BytesIO(body)) for body in bodies]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def test_requests_and_answers_are_kept_as_they_were(start: Start, world: World) -> None:
    world.add("serving: {request_log: {}}\n")
    served = start()
    rows = world.rows(6)
    answers = [served.post(as_json(rows[:4]), headers={"x-request-id": "many"}).json()]
    answers += [served.post(as_json(rows[n : n + 1]), headers={"x-request-id": f"one-{n}"}).json() for n in (4, 5)]
    served.logger.flush()
    found = logged(world.store).sort_values(["parcel"]).reset_index(drop=True)
    assert found["request_id"].tolist() == ["many"] * 4 + ["one-4", "one-5"]
    assert found["request_row"].tolist() == [0, 1, 2, 3, 0, 0]
    assert found["version"].unique().tolist() == [world.champions[-1]]
    assert found["role"].unique().tolist() == ["champion"]
    said = [one for answer in answers for one in answer["predictions"]]
    for name in ("prediction", "label", "out_of_domain"):
        assert found[name].tolist() == [one[name] for one in said]
    pd.testing.assert_frame_equal(found[list(rows)], rows[list(rows)], check_dtype=False)


def test_nothing_is_kept_unless_declared(start: Start, world: World) -> None:
    served = start()
    served.post(as_json(world.rows(3)))
    served.logger.flush()
    assert logged(world.store).empty


@pytest.mark.parametrize("name", ["label", "lower"])
def test_a_column_with_the_name_of_an_answer_is_refused_and_not_lost(world: World, name: str) -> None:
    path = world.folder / "model.yaml"
    text = path.read_text().replace("weight", name)
    path.write_text(text + "serving: {request_log: {}}\n")
    with pytest.raises(ConfigError, match=f"`{name}`.*`leave_out` it"):
        load_model(path)
    path.write_text(text + f"serving: {{request_log: {{leave_out: [{name}]}}}}\n")
    load_model(path)


def test_declared_columns_are_left_out_or_hashed_with_the_key(start: Start, world: World) -> None:
    world.add("serving: {request_log: {leave_out: [weight], hash: [carrier, parcel]}}\n")
    with pytest.raises(ConfigError, match="HASH_KEY"):
        start()
    served, rows = start(hash_key="k3y"), world.rows(2)
    rows.loc[1, "carrier"] = None
    served.post(as_json(rows))
    served.logger.flush()
    found = logged(world.store)
    assert "weight" not in found
    expected = hmac.new(b"k3y", rows["carrier"][0].encode(), hashlib.sha256).hexdigest()
    assert found["carrier"].tolist()[0] == expected and found["carrier"].isna().tolist() == [False, True]
    assert found["parcel"].tolist() == [
        hmac.new(b"k3y", str(value).encode(), hashlib.sha256).hexdigest() for value in rows["parcel"]
    ]


def test_while_the_store_is_away_no_more_than_declared_waits_and_the_rest_is_counted(
    start: Start, world: World
) -> None:
    world.add("serving: {request_log: {}}\n")
    store = AwayStore(world.store)
    served = start(store=store, max_unsent=5)
    store.away = True

    def dropped() -> float:
        return REGISTRY.get_sample_value("ratchet_request_log_dropped_rows_total", {"model": "parcels"}) or 0.0

    before = dropped()
    for row in as_json(world.rows(8)):
        assert served.post([row]).status_code == 200
        with pytest.raises(Exception, match="did not answer"):
            served.logger.flush()
    assert dropped() - before == 3
    store.away = False
    served.logger.flush()
    assert sorted(logged(world.store)["parcel"]) == sorted(world.rows(5)["parcel"])


def test_a_write_whose_answer_is_lost_is_repeated_and_keeps_each_row_once(start: Start, world: World) -> None:
    class Unheard(AwayStore):
        """Its answers to writes are lost while it is told so."""

        unheard = True

        def put_if_absent(self, key: str, body: bytes) -> bool:
            written: bool = self.store.put_if_absent(key, body)
            if self.unheard:
                raise StoreUnavailable("the answer was lost")
            return written

    world.add("serving: {request_log: {}}\n")
    store = Unheard(world.store)
    served = start(store=store)
    rows = as_json(world.rows(6))
    served.post(rows[:4])
    with pytest.raises(StoreUnavailable, match="was lost"):
        served.logger.flush()
    served.post(rows[4:])
    store.unheard = False
    served.logger.flush()
    assert sorted(logged(world.store)["parcel"]) == sorted(world.rows(6)["parcel"])


@pytest.mark.timeout(120)
def test_a_kill_loses_no_more_than_declared_and_an_end_nothing(process: Callable[..., Process], world: World) -> None:
    import httpx

    world.add("serving: {request_log: {}}\n")
    server = process(RATCHET_SERVING_MAX_UNSENT="40", RATCHET_SERVING_FLUSH_SECONDS="0.2")
    server.wait_ready()
    sent = []
    rows = as_json(world.rows(200))
    with httpx.Client() as client:

        def ask(number: int) -> None:
            answer = client.post(
                f"http://{server.address}/models/parcels/predict",
                json=rows[number],
                headers={"x-request-id": f"{number}"},
            )
            assert answer.status_code == 200
            sent.append(str(number))

        for number in range(100):
            ask(number)
            time.sleep(0.005)
        (worker,) = server.workers()
        worker.kill()
    server.wait_ready()
    lost = set(sent) - set(logged(world.store)["request_id"])
    assert len(lost) <= 40
    with httpx.Client() as client:
        for number in range(100, 130):
            ask(number)
    assert server.end() == 0
    kept = logged(world.store)
    assert set(sent) - set(kept["request_id"]) == lost
    assert not kept.duplicated(["request_id", "request_row"]).any()


def test_an_end_sends_what_no_flush_has_sent(start: Start, world: World) -> None:
    world.add("serving: {request_log: {}}\n")
    served = start(flush_seconds=600.0)
    served.logger.start()
    served.post(as_json(world.rows(3)))
    served.logger.stop()
    assert sorted(logged(world.store)["parcel"]) == sorted(world.rows(3)["parcel"])


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_predecessor_predicts_beside_and_the_caller_is_told_nothing_of_it(start: Start, world: World) -> None:
    world.add("serving: {request_log: {}, challenger: {version: predecessor}}\n")
    served, rows, (first, second) = start(), world.rows(5), world.champions
    whole = served.post(as_json(rows), headers={"x-request-id": "many"})
    served.post(as_json(rows[:1]), headers={"x-request-id": "one"})
    assert whole.headers["x-ratchet-version"] == second
    wait_for(lambda: len(served.logger._unsent) == 4)
    served.logger.flush()
    found = logged(world.store)
    shadow = found[found["role"] == "shadow"].sort_values(["request_id", "request_row"])
    assert shadow["version"].unique().tolist() == [first]
    assert shadow["request_id"].tolist() == ["many"] * 5 + ["one"]
    expected = world.expected(first, rows)
    assert shadow["prediction"].tolist() == [*expected, expected[0]]


def test_a_shadow_that_fails_changes_no_answer(start: Start, world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.add("serving: {request_log: {}, challenger: {version: predecessor}}\n")
    served = start()
    beside = served.live.models["parcels"].beside
    assert beside is not None

    def derive(frame: pd.DataFrame) -> pd.DataFrame:
        raise ValueError("s3cret")

    object.__setattr__(beside.predictor, "derive", derive)
    assert served.post(as_json(world.rows(1))).status_code == 200
    wait_for(lambda: "can't also predict" in caplog.text)
    assert "s3cret" not in caplog.text


def test_a_share_of_the_entities_is_answered_by_the_challenger_always_the_same(start: Start, world: World) -> None:
    world.add("serving: {request_log: {}, challenger: {version: predecessor, traffic: 0.3, by: parcel}}\n")
    served, rows, (first, second) = start(), world.rows(300), world.champions
    versions = {}
    for row in as_json(rows):
        answer = served.post([row])
        versions[row["parcel"]] = answer.headers["x-ratchet-version"]
    assert set(versions.values()) == {first, second}
    share = sum(version == first for version in versions.values()) / len(versions)
    assert 0.2 < share < 0.4
    assert all((version == first) == (share_of("parcels", parcel) < 0.3) for parcel, version in versions.items())
    for row in as_json(rows[:20]):
        csv = pd.DataFrame([row]).to_csv(index=False).encode()
        again = served.client.post("/models/parcels/predict", content=csv, headers={"content-type": "text/csv"})
        assert again.headers["x-ratchet-version"] == versions[row["parcel"]]
    both = [row for row in as_json(rows) if versions[row["parcel"]] == first][:1] + [
        row for row in as_json(rows) if versions[row["parcel"]] == second
    ][:1]
    assert served.post(both).headers["x-ratchet-version"] == second
    served.logger.flush()
    kept = logged(world.store)
    assert set(kept.loc[kept["role"] == "challenger", "version"]) == {first}


@pytest.mark.parametrize("strange", [[1], {"a": 1}, "x", 1e300])
def test_an_entity_that_is_no_value_of_its_column_is_a_mistake_of_the_caller(
    start: Start, world: World, strange: Any
) -> None:
    world.add("serving: {challenger: {version: predecessor, traffic: 0.5, by: parcel}}\n")
    (row,) = as_json(world.rows(1))
    assert start().post([{**row, "parcel": strange}]).status_code == 422


def test_the_numbers_of_the_challenger_are_those_of_its_version(start: Start, world: World) -> None:
    world.add("serving: {challenger: {version: predecessor, traffic: 0.5, by: parcel}}\n")
    served, rows = start(), world.rows(40)
    for place, row in enumerate(as_json(rows)):
        answer = served.post([row])
        version = answer.headers["x-ratchet-version"]
        (expected,) = world.expected(version, rows.iloc[place : place + 1].reset_index(drop=True))
        assert answer.json()["predictions"][0]["prediction"] == pytest.approx(expected, abs=1e-12)


def test_a_held_version_is_a_challenger(start: Start, world: World) -> None:
    path = world.folder / "model.yaml"
    path.write_text(path.read_text().replace("confidence: 0.9}", "confidence: 0.999999}"))
    run_chain(world.store, world.model, world.folder, month(10))
    newest = world.ledger.timeline().standings[-1]
    assert newest.decision is not None and newest.decision.outcome == "HOLD", "the world needs a held version"
    world.add("serving: {request_log: {}, challenger: {version: held}}\n")
    beside = start().live.models["parcels"].beside
    assert beside is not None and beside.version == newest.version


def test_the_version_of_an_alias_is_a_challenger_that_answers_under_its_name_and_follows_its_moves(
    start: Start, world: World
) -> None:
    world.add('serving: {request_log: {}, challenger: {version: "alias:canary"}}\n')
    served, (first, champion) = start(), world.champions
    model, actor = served.live.models["parcels"], {"trigger": "manual", "user": "ada"}
    assert model.beside is None and served.client.get("/v2/models/parcels/versions/canary").status_code == 404
    world.ledger.alias("canary", first, "the old one beside", actor=actor, at=NOW)
    served.look()
    answer = served.client.get("/v2/models/parcels/versions/canary")
    assert (answer.status_code, answer.headers["x-ratchet-version"]) == (200, first)
    world.ledger.alias("canary", champion, "in force anyway", actor=actor, at=NOW)
    served.look()
    assert model.beside is None, "a second copy of the champion is no challenger"


def test_a_challenger_that_needs_a_column_which_callers_do_not_send_yet_answers_none_of_them(
    start: Start, world: World
) -> None:
    world.add("serving: {request_log: {}, challenger: {version: predecessor, traffic: 0.5, by: parcel}}\n")
    served, (first, second) = start(), world.champions
    rows = [row for row in as_json(world.rows(20)) if share_of("parcels", row["parcel"]) < 0.5][:2]
    beside = served.live.models["parcels"].beside
    assert beside is not None and served.post(rows[:1]).headers["x-ratchet-version"] == first
    columns = (*beside.schema.columns, Column("insured", "boolean", required=True))
    beside.schema = replace(beside.schema, columns=columns)
    for body in (rows[:1], rows[1:]):
        answer = served.post(body)
        assert (answer.status_code, answer.headers.get("x-ratchet-version")) == (200, second)
    served.logger.flush()
    assert logged(world.store).groupby("version")["role"].unique().map(list).to_dict() == {
        first: ["challenger"],
        second: ["champion"],
    }


def test_what_the_champion_answered_stays_its_answer_where_another_comes_into_force_meanwhile(
    start: Start, world: World
) -> None:
    world.add("serving: {request_log: {}}\n")
    served, (first, second) = start(), world.champions
    (row,) = as_json(world.rows(1))
    body = json.dumps(example_request(served.live.models["parcels"].champion.schema, row)).encode()  # type: ignore[union-attr]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        world.withdraw(second)  # while the body is under way
        served.look()
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/v2/models/parcels/infer"
    scope = {"type": "http", "method": "POST", "path": path, "scheme": "http", "query_string": b"", "root_path": ""}
    length = str(len(body)).encode()
    scope["headers"] = [(b"host", b"localhost"), (b"content-length", length)]
    asyncio.run(served.client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 200 and (b"x-ratchet-version", second.encode()) in sent[0]["headers"]
    assert answers(served) == first
    served.logger.flush()
    assert logged(world.store)["role"].tolist() == ["champion", "champion"]

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from include.errors import ConfigError
from include.serving.access import Access
from include.serving.guard import Guard
from include.serving.settings import ServingSettings
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]


def test_every_answer_has_security_headers(start: Start) -> None:
    served = start()
    for answer in (served.client.get("/docs"), served.client.get("/no"), served.client.post("/models/x/predict")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 32
        assert "server" not in answer.headers


@pytest.mark.parametrize("given", ["a\r\nb", "x" * 65, "", "ü", "a b"])
def test_a_request_id_that_could_do_harm_is_replaced(start: Start, given: str) -> None:
    answer = start().client.get("/models", headers={"x-request-id": given.encode()})  # type: ignore[dict-item]
    assert answer.headers["x-request-id"] != given and len(answer.headers["x-request-id"]) == 32


def test_a_body_above_the_limit_is_refused_by_what_it_says_and_by_what_it_sends(start: Start, world: World) -> None:
    served = start(max_body_bytes=1000)
    assert served.post(as_json(world.rows(1))).status_code == 200
    assert served.post(as_json(world.rows(20))).status_code == 413
    parts = (b"[" + b" " * 600 for _ in range(3))  # without a Content-Length
    chunked = served.client.post("/models/parcels/predict", content=parts)
    assert chunked.status_code == 413


def test_compressed_bodies_are_refused(start: Start) -> None:
    answer = start().client.post("/models/parcels/predict", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_an_error_of_ours_is_a_500_without_what_it_says(start: Start, monkeypatch, caplog) -> None:
    served = start()

    def broken(*arguments: Any) -> None:
        raise RuntimeError("s3cret")

    monkeypatch.setattr("include.serving.app.openapi_document.document", broken)
    answer = served.client.get("/openapi.json")
    assert answer.status_code == 500
    assert "s3cret" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


class Held:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.inside = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(
    guard: Guard, *, body: bytes = b"", slow: bool = False, path: str = "/models/m/predict"
) -> tuple[int, dict]:
    headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "scheme": "http", "headers": headers}
    said: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        if slow:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.update({key: value for key, value in message.items() if key in ("status", "headers")})

    await guard(scope, receive, send)
    return said["status"], {name.decode(): value.decode() for name, value in said["headers"]}


def guarded(app: Any, **limits: Any) -> Guard:
    settings = ServingSettings(**limits)
    return Guard(app, Access(settings), settings, frozenset({"/live"}), local_only=True)


@pytest.mark.parametrize(
    ("limits", "size"), [({"max_in_flight": 3}, 10), ({"max_in_flight_bytes": 30, "max_body_bytes": 20}, 10)]
)
def test_more_than_a_worker_may_hold_is_answered_503_at_once_and_liveness_still_answers(
    limits: dict, size: int
) -> None:
    async def crowd() -> None:
        app = Held()
        guard = guarded(app, **limits)
        waiting = [asyncio.ensure_future(ask(guard, body=b"x" * size)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert app.inside == 3
        status, headers = await ask(guard, body=b"x" * size)
        assert status == 503 and headers["retry-after"] == "1"
        assert app.inside == 3, "nothing of it was read"
        alive = asyncio.ensure_future(ask(guard, path="/live"))
        await asyncio.sleep(0.05)
        assert app.inside == 4
        app.go.set()
        assert [status for status, _ in await asyncio.gather(*waiting, alive)] == [200] * 4
        status, _ = await ask(guard, body=b"x" * size)
        assert status == 200, "what was answered is held no more"

    asyncio.run(crowd())


def test_a_body_that_takes_too_long_is_given_up() -> None:
    async def slowly() -> None:
        app = Held()
        app.go.set()
        status, headers = await ask(guarded(app, timeout_seconds=0.1), body=b"x", slow=True)
        assert status == 408 and headers["connection"] == "close"

    asyncio.run(slowly())


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_ROWS", "0"), ("MAX_ROWS", "1.5"), ("POLL_SECONDS", "nan"), ("TIMEOUT_SECONDS", "inf")]
)
def test_a_setting_that_is_not_understood_is_answered_with_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"RATCHET_SERVING_{name}"):
        ServingSettings.from_environment({f"RATCHET_SERVING_{name}": value})


def test_settings_are_read_from_the_environment() -> None:
    given = {"RATCHET_SERVING_MAX_ROWS": "7", "RATCHET_SERVING_MODELS": "a, b", "RATCHET_SERVING_POLL_SECONDS": "0.5"}
    settings = ServingSettings.from_environment(given)
    assert (settings.max_rows, settings.models, settings.poll_seconds) == (7, ("a", "b"), 0.5)

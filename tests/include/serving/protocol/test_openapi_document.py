from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error

from include.serving.protocol.bodies import TYPES
from include.serving.protocol.openapi_document import example_row
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]


@pytest.fixture
def served(start: Start, world: World) -> Served:
    return start()


def asked(served: Served) -> dict[str, Any]:
    answer = served.client.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()  # type: ignore[no-any-return]


def test_the_examples_are_answered(served: Served) -> None:
    for path, operations in asked(served)["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            answer = served.client.request(method, path, json=content.get("example"))
            assert answer.status_code == 200, (path, answer.text)


def test_examples_are_made_up_and_never_copied_from_rows(served: Served, world: World) -> None:
    live = served.live.models["parcels"].champion
    assert live is not None
    row = example_row(live)
    assert set(row) == {column.name for column in live.schema.columns if column.required}
    assert not any(row.items() <= other.items() for other in as_json(world.rows(400)))
    assert row["distance"] not in set(world.rows(400)["distance"])


def test_the_document_follows_the_version(served: Served) -> None:
    row = asked(served)["components"]["schemas"]["parcels.row"]
    assert set(row["required"]) == {"weight", "distance", "carrier", "sent_at"}
    assert row["properties"]["weight"]["type"] == ["number", "null"]
    assert row["additionalProperties"] is False


def test_the_page_needs_nothing_from_elsewhere(served: Served) -> None:
    page = served.client.get("/docs").text
    assert "/models/parcels/predict" in page
    assert "<script" not in page and "src=" not in page and "http" not in page.replace("https://", "")


@pytest.mark.timeout(300)
def test_no_generated_input_is_answered_by_an_error_of_ours(served: Served) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.client.app, headers={"host": "localhost"})
    answered = {2: 0, 4: 0}
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:

            @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @seed(7)
            @given(case=operation.as_strategy(mode))
            def ask(case: Any) -> None:
                response = case.call(headers={"host": "localhost"})
                case.validate_response(response, checks=[not_a_server_error])
                assert response.status_code // 100 in (2, 4)
                answered[response.status_code // 100] += 1

            with contextlib.suppress(Unsatisfiable):  # a GET without parameters has no wrong form
                ask()
    assert min(answered.values()) > 50, answered


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@seed(7)
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from(TYPES),
    route=st.sampled_from(["/models/parcels/predict", "/v2/models/parcels/infer"]),
)
def test_no_bytes_are_answered_by_an_error_of_ours(served: Served, body: bytes, kind: str, route: str) -> None:
    answer = served.client.post(route, content=body, headers={"content-type": kind})
    assert 400 <= answer.status_code < 500

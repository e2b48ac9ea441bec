from __future__ import annotations

from collections.abc import Callable

import pytest

from include.errors import ConfigError
from include.serving.platforms import platform_of
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]
ELSEWHERE = {"host": "10.0.0.7:8080"}


def test_sagemaker_asks_ping_and_invocations(start: Start, world: World) -> None:
    platform = platform_of({"RATCHET_SERVING_PLATFORM": "sagemaker"})
    assert platform.port == 8080
    served, rows = start(platform=platform), world.rows(4)
    assert served.client.get("/ping", headers=ELSEWHERE).status_code == 200
    csv = rows.to_csv(index=False).encode()
    answer = served.client.post("/invocations", content=csv, headers={"content-type": "text/csv", **ELSEWHERE})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    json = served.client.post("/invocations", json=as_json(rows), headers={"accept": "application/json", **ELSEWHERE})
    assert [one["prediction"] for one in json.json()["predictions"]] == world.expected(world.champions[-1], rows)
    named = served.client.post(
        "/invocations", json=as_json(rows), headers={"x-amzn-sagemaker-custom-attributes": "model=other", **ELSEWHERE}
    )
    assert named.status_code == 404


def test_sagemakers_ping_fails_until_a_version_answers(start: Start) -> None:
    served = start(platform=platform_of({"RATCHET_SERVING_PLATFORM": "sagemaker"}), look=False)
    assert served.client.get("/ping").status_code == 503


def test_vertex_asks_at_its_own_routes_for_instances_and_predictions(start: Start, world: World) -> None:
    platform = platform_of(
        {
            "RATCHET_SERVING_PLATFORM": "vertex",
            "AIP_HTTP_PORT": "8081",
            "AIP_HEALTH_ROUTE": "/v1/health",
            "AIP_PREDICT_ROUTE": "/v1/predict",
        }
    )
    assert platform.port == 8081
    served, rows = start(platform=platform), world.rows(2)
    assert served.client.get("/v1/health", headers=ELSEWHERE).status_code == 200
    answer = served.client.post("/v1/predict", json={"instances": as_json(rows), "parameters": {}}, headers=ELSEWHERE)
    assert set(answer.json()) == {"predictions", "deployedModelId", "model", "modelDisplayName"}
    assert len(answer.json()["predictions"]) == 2


def test_azure_asks_score(start: Start, world: World) -> None:
    platform = platform_of({"RATCHET_SERVING_PLATFORM": "azureml"})
    assert platform.port == 5001
    served = start(platform=platform)
    assert served.client.get("/", headers=ELSEWHERE).status_code == 200
    assert served.client.post("/score", json={"rows": as_json(world.rows(1))}, headers=ELSEWHERE).status_code == 200


def test_a_platform_is_named_and_never_guessed() -> None:
    ambient = {"AIP_HTTP_PORT": "8080", "SAGEMAKER_REGION": "x", "AZUREML_MODEL_DIR": "/m"}
    assert not platform_of(ambient).fronted
    with pytest.raises(ConfigError, match="sagemaker"):
        platform_of({"RATCHET_SERVING_PLATFORM": "sagemakr"})
    with pytest.raises(ConfigError, match="AIP_HTTP_PORT"):
        platform_of({"RATCHET_SERVING_PLATFORM": "vertex", "AIP_HTTP_PORT": "70000"})

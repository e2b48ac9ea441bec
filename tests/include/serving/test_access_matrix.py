"""Who gets what of the server: every route that it has on any platform, asked by each kind of caller."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.routing import Router

from include.serving.access import Access, new_token
from include.serving.app import Server
from include.serving.live_versions import LiveModels
from include.serving.platforms import platform_of
from include.serving.request_log import RequestLogger
from include.serving.settings import ServingSettings
from tests.include.serving.conftest import Served, World, as_json

CALLERS = ("none", "airflow admin", "own model", "every model", "other team", "expired", "expired jwt", "jwt")
KNOWN = dict.fromkeys(CALLERS, 200) | dict.fromkeys(("none", "airflow admin", "expired", "expired jwt"), 401)
"""Whoever has a token that is good."""
OF_MODEL = KNOWN | {"other team": 404}
"""Whose token is for the model; nobody else learns whether it is served."""
ANYBODY = dict.fromkeys(CALLERS, 200)
RULES = {
    "/v2/health/live": ANYBODY,
    "/v2/health/ready": KNOWN,
    "/v2": KNOWN,
    "/v2/models/{model}": OF_MODEL,
    "/v2/models/{model}/ready": OF_MODEL,
    "/v2/models/{model}/infer": OF_MODEL,
    "/v2/models/{model}/versions/{version}": OF_MODEL,
    "/v2/models/{model}/versions/{version}/ready": OF_MODEL,
    "/v2/models/{model}/versions/{version}/infer": OF_MODEL,
    "/models": KNOWN,
    "/models/{model}/predict": OF_MODEL,
    "/openapi.json": KNOWN,
    "/docs": KNOWN,
    "/metrics": KNOWN,
    # Of managed platforms: their probes have no token.
    "/ping": ANYBODY,
    "/invocations": OF_MODEL,
    "/health": ANYBODY,
    "/predict": OF_MODEL,
    "/": ANYBODY,
    "/health/live": ANYBODY,
    "/health/ready": ANYBODY,
    "/score": OF_MODEL,
}
PLATFORMS = ("", "sagemaker", "vertex", "azureml")


def routes_of(platform: str) -> dict[str, str]:
    """Return the server's own routes on a platform, with the method that each takes."""
    live, logger = LiveModels([], poll_seconds=1), RequestLogger(None, {}, ServingSettings())  # type: ignore[arg-type] # nothing is logged
    server = Server(live, logger, ServingSettings(), platform_of({"RATCHET_SERVING_PLATFORM": platform}))
    router = server.app(Access(ServingSettings())).app
    assert isinstance(router, Router)
    return {route.path: "POST" if "POST" in route.methods else "GET" for route in router.routes}  # type: ignore[attr-defined]


ROUTES = [(platform, path, method) for platform in PLATFORMS for path, method in routes_of(platform).items()]


@pytest.fixture
def headers(tmp_path: Path) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The settings of a server that asks who calls, and how each caller says so."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    made = {
        "own model": new_token("own", ["parcels"]),
        "every model": new_token("every", ["*"]),
        "other team": new_token("other", ["theirs"]),
        "expired": new_token("old", ["*"], yesterday),
    }
    (tmp_path / "tokens.json").write_text(json.dumps([entry for _, entry in made.values()]))
    key, airflows = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    public = {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k", "alg": "ES256"}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public]}))
    claims = {"iss": "https://login", "aud": "ratchet", "sub": "shop", "scope": "predict:parcels"}

    def signed(more: dict[str, Any], with_key: Any = key) -> str:
        return jwt.encode(claims | more, with_key, algorithm="ES256", headers={"kid": "k"})

    tokens = {caller: token for caller, (token, _) in made.items()}
    tokens["jwt"] = signed({"exp": time.time() + 60})
    tokens["expired jwt"] = signed({"exp": time.time() - 3600})
    tokens["airflow admin"] = signed({"exp": time.time() + 60, "role": "ADMIN"}, airflows)
    settings = {"tokens": tmp_path / "tokens.json", "jwt_keys": tmp_path / "keys.json"}
    settings |= {"jwt_issuer": "https://login", "jwt_audience": "ratchet"}
    said = {caller: {"authorization": f"Bearer {token}"} for caller, token in tokens.items()}
    return settings, said | {"none": {}}


def test_every_route_has_a_rule() -> None:
    assert {path for _, path, _ in ROUTES} == set(RULES), "a new route needs a rule of who may ask it"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_caller_gets_what_the_rule_says(
    start: Callable[..., Served], world: World, headers: Any, platform: str
) -> None:
    settings, said = headers
    served = start(platform=platform_of({"RATCHET_SERVING_PLATFORM": platform}), **settings)
    rows = as_json(world.rows(1))
    bodies = {"predict": {"rows": rows}, "infer": tensors(served, said["own model"], rows[0])}
    for _, path, method in (one for one in ROUTES if one[0] == platform):
        address = path.format(model="parcels", version=world.champions[-1])
        body = bodies["infer" if path.endswith("/infer") else "predict"] if method == "POST" else None
        answers = {who: served.client.request(method, address, json=body, headers=said[who]) for who in CALLERS}
        assert {who: answer.status_code for who, answer in answers.items()} == RULES[path], path
        for who, answer in answers.items():
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none';") and "script-src" not in policy, (path, who)
            if who == "other team":
                assert path == "/metrics" or "parcels" not in answer.text, path


def tensors(served: Served, headers: dict[str, str], row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the Open Inference Protocol takes it."""
    inputs = served.client.get("/v2/models/parcels", headers=headers).json()["inputs"]
    return {
        "inputs": [
            {"name": one["name"], "datatype": one["datatype"], "shape": [1, 1], "data": [row[one["name"]]]}
            for one in inputs
            if row.get(one["name"]) is not None
        ]
    }

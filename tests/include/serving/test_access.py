from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from include.errors import ConfigError
from include.serving.access import Access, new_token
from include.serving.settings import ServingSettings
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]
ISSUER, AUDIENCE = "https://login.example.org", "ratchet"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    made = {name: new_token(name, models) for name, models in {"all": ["*"], "own": ["parcels"], "none": ["x"]}.items()}
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([entry for _, entry in made.values()]))
    return path, {name: token for name, (token, _) in made.items()}


def test_a_token_is_kept_as_its_hash_only(tokens: tuple[Path, dict[str, str]]) -> None:
    path, made = tokens
    assert not any(token in path.read_text() for token in made.values())


def test_every_route_but_liveness_asks_who_calls(start: Start, world: World, tokens: Any) -> None:
    path, made = tokens
    served = start(tokens=path)
    assert served.client.get("/v2/health/live").status_code == 200
    asked = ["/v2/health/ready", "/v2", "/models", "/v2/models/parcels", "/openapi.json", "/docs", "/metrics", "/no"]
    for route in asked:
        answer = served.client.get(route)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", route
    for route in ("/models/parcels/predict", "/v2/models/parcels/infer"):
        assert served.client.post(route, json={}).status_code == 401
    assert served.post(as_json(world.rows(1)), headers=bearer(made["own"])).status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", "bearer \xff"])
def test_what_is_no_token_is_refused(start: Start, tokens: Any, authorization: str) -> None:
    answer = start(tokens=tokens[0]).client.get("/models", headers={"authorization": authorization.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 401


def test_a_caller_sees_the_models_of_its_scope_and_no_others(start: Start, world: World, tokens: Any) -> None:
    path, made = tokens
    served = start(tokens=path)
    refused = served.post(as_json(world.rows(1)), headers=bearer(made["none"]))
    assert refused.status_code == 404 and "parcels" not in refused.text
    unknown = served.client.post("/models/nonsense/predict", json={}, headers=bearer(made["none"]))
    assert unknown.json() == refused.json()
    assert served.client.get("/models", headers=bearer(made["none"])).json() == {"models": []}
    assert "parcels" not in served.client.get("/openapi.json", headers=bearer(made["none"])).text
    assert "parcels" not in served.client.get("/docs", headers=bearer(made["none"])).text
    assert served.client.get("/v2/models/parcels", headers=bearer(made["none"])).status_code == 404


def test_a_token_taken_from_the_file_or_past_its_day_is_good_no_more(start: Start, tokens: Any) -> None:
    path, made = tokens
    served = start(tokens=path)
    assert served.client.get("/models", headers=bearer(made["all"])).status_code == 200
    old, entry = new_token("old", ["*"], datetime.now(UTC) - timedelta(seconds=1))
    path.write_text(json.dumps([entry]))
    assert served.client.get("/models", headers=bearer(made["all"])).status_code == 401
    assert served.client.get("/models", headers=bearer(old)).status_code == 401


def test_a_file_of_tokens_that_is_broken_later_lets_nobody_in(start: Start, tokens: Any, caplog) -> None:
    path, made = tokens
    served = start(tokens=path)
    path.write_text("[")
    answer = served.client.get("/models", headers=bearer(made["all"]))
    assert answer.status_code == 503 and "retry-after" in answer.headers
    assert "tokens" in caplog.text
    assert served.client.get("/v2/health/live").status_code == 200


def test_tokens_are_compared_in_constant_time(tokens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    path, made = tokens
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
    access = Access(ServingSettings(tokens=path))
    for token in (made["all"], "wrong"):
        compared.clear()
        access.caller(f"Bearer {token}", datetime.now(UTC))
        assert len(compared) == 3, "each entry is compared, found or not"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "a"}]', '[{"name": "a", "sha256": "00", "models": []}]'])
def test_a_broken_file_of_tokens_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    if text == "{}":
        assert Access(ServingSettings(tokens=tmp_path / "t")).caller("Bearer x", datetime.now(UTC)) is None
        return
    with pytest.raises(ConfigError):
        Access(ServingSettings(tokens=tmp_path / "t"))


@pytest.fixture
def issuer(tmp_path: Path) -> tuple[dict[str, Any], Callable[..., str]]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k", "alg": "ES256"}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public]}))
    settings = {"jwt_keys": tmp_path / "keys.json", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}

    def sign(*, with_key: Any = key, algorithm: str = "ES256", kid: str = "k", **changed: Any) -> str:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "shop", "exp": time.time() + 60, "scope": "predict:parcels"}
        claims = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode(claims, with_key, algorithm=algorithm, headers={"kid": kid})

    return settings, sign


def test_a_jwt_of_the_issuer_for_this_audience_asks_what_its_scope_says(start: Start, world: World, issuer) -> None:
    settings, sign = issuer
    served = start(**settings)
    assert served.post(as_json(world.rows(1)), headers=bearer(sign())).status_code == 200
    assert served.post(as_json(world.rows(1)), headers=bearer(sign(scope="predict:*"))).status_code == 200
    for scope in ("", "parcels", "read:parcels", "predict:other", ["predict:parcels"]):
        assert served.post(as_json(world.rows(1)), headers=bearer(sign(scope=scope))).status_code == 404, scope


def test_any_other_jwt_is_refused(start: Start, issuer) -> None:
    settings, sign = issuer
    served = start(**settings)
    public = json.loads(settings["jwt_keys"].read_text())["keys"][0]["x"]
    wrong = {
        "issuer": sign(iss="https://evil.example.org"),
        "audience": sign(aud="other"),
        "expired": sign(exp=time.time() - 100),
        "without expiry": sign(exp=None),
        "another key": sign(with_key=ec.generate_private_key(ec.SECP256R1())),
        "unknown key": sign(kid="other"),
        "no signature": sign(with_key=None, algorithm="none"),
        "signed with the public key as a secret": sign(with_key=public, algorithm="HS256"),
        "nested deeper than can be read": base64.urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=") + ".e30.e30",
    }
    for name, token in wrong.items():
        assert served.client.get("/models", headers=bearer(token)).status_code == 401, name
    assert served.client.get("/models", headers=bearer(sign())).status_code == 200


def test_a_secret_among_the_jwt_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "k"}]}))
    with pytest.raises(ConfigError, match="secret"):
        Access(ServingSettings(jwt_keys=tmp_path / "k", jwt_issuer=ISSUER, jwt_audience=AUDIENCE))


def test_jwt_settings_come_together_or_not_at_all() -> None:
    with pytest.raises(ConfigError, match="all three"):
        ServingSettings.from_environment({"RATCHET_SERVING_JWT_ISSUER": ISSUER})


def test_without_tokens_only_who_asks_for_this_machine_by_its_own_name_is_answered(start: Start) -> None:
    served = start()
    for host in ("localhost", "localhost:8500", "127.0.0.1:1", "[::1]:8500"):
        assert served.client.get("/models", headers={"host": host}).status_code == 200, host
    for host in ("evil.example.org", "localhost.example.org", "127.0.0.1.nip.io", ""):
        assert served.client.get("/models", headers={"host": host}).status_code == 403, host


def test_no_token_and_no_row_is_in_a_log(start: Start, world: World, tokens: Any, caplog, capfd) -> None:
    caplog.set_level("DEBUG")
    path, made = tokens
    served = start(tokens=path)
    row = {**as_json(world.rows(1))[0], "carrier": "s3cret"}
    for token in (made["own"], made["own"] + "x"):
        served.post([row], headers=bearer(token))
        served.post([{**row, "weight": "s3cret"}], headers=bearer(token))
    out = capfd.readouterr()
    said = caplog.text + out.out + out.err
    assert "s3cret" not in said and made["own"] not in said

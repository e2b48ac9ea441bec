"""Settings of the server, from environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.errors import ConfigError

_PREFIX = "RATCHET_SERVING_"


@dataclass(frozen=True)
class Address:
    """Where to listen, and with which certificate."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class ServingSettings:
    """Limits of the server, and who may ask it."""

    models: tuple[str, ...] = ()
    """``RATCHET_SERVING_MODELS``: names separated by commas; every declared model if unset."""
    poll_seconds: float = 2.0
    """``RATCHET_SERVING_POLL_SECONDS``: how often each ledger is asked for news, one call of the store each, and two of a model with segments."""
    segments_in_memory: int = 50
    """``RATCHET_SERVING_SEGMENTS_IN_MEMORY``: how many versions of segments one worker holds, of each model."""
    max_body_bytes: int = 16 * 2**20
    """``RATCHET_SERVING_MAX_BODY_BYTES``: larger bodies are answered 413."""
    max_rows: int = 10_000
    """``RATCHET_SERVING_MAX_ROWS``: a request with more rows is answered 413."""
    max_in_flight: int = 64
    """``RATCHET_SERVING_MAX_IN_FLIGHT``: requests that one worker holds at a time; further ones are answered 503."""
    max_in_flight_bytes: int = 128 * 2**20
    """``RATCHET_SERVING_MAX_IN_FLIGHT_BYTES``: body bytes that one worker holds at a time; further ones are answered 503."""
    timeout_seconds: float = 30.0
    """``RATCHET_SERVING_TIMEOUT_SECONDS``: how long reading a body, and then predicting it, may take each."""
    max_unsent: int = 10_000
    """``RATCHET_SERVING_MAX_UNSENT``: rows of the request log that one worker holds unsent, so the most that a kill loses."""
    flush_seconds: float = 5.0
    """``RATCHET_SERVING_FLUSH_SECONDS``: how long a row of the request log waits to be sent at most."""
    tokens: Path | None = None
    """``RATCHET_SERVING_TOKENS``: a file of hashed bearer tokens, written by ``python -m include token``."""
    jwt_keys: Path | None = None
    """``RATCHET_SERVING_JWT_KEYS``: a JSON Web Key Set, with the two below; then JWTs are taken as bearer tokens."""
    jwt_issuer: str | None = None
    """``RATCHET_SERVING_JWT_ISSUER``: what ``iss`` must be."""
    jwt_audience: str | None = None
    """``RATCHET_SERVING_JWT_AUDIENCE``: what ``aud`` must name."""
    hash_key: str | None = None
    """``RATCHET_SERVING_HASH_KEY``: the secret with which declared columns of the request log are hashed."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServingSettings:
        """Read the settings; raises `ConfigError` for a value that is not understood."""
        given = {name: environment.get(_PREFIX + name.upper(), "") for name in cls.__dataclass_fields__}
        values: dict[str, object] = {}
        for name, text in given.items():
            if not text:
                continue
            default = getattr(cls, name)
            if isinstance(default, int | float):
                values[name] = _positive(name, text, type(default))
            elif name == "models":
                values[name] = tuple(part.strip() for part in text.split(",") if part.strip())
            else:
                values[name] = Path(text) if name in ("tokens", "jwt_keys") else text
        settings = cls(**values)  # type: ignore[arg-type]
        jwt = (settings.jwt_keys, settings.jwt_issuer, settings.jwt_audience)
        if any(jwt) and not all(jwt):
            raise ConfigError(
                "JWTs need all three of their settings.",
                expected="keys, issuer and audience",
                found=", ".join(name for name, value in zip(("keys", "issuer", "audience"), jwt, strict=True) if value),
                where=f"environment variables {_PREFIX}JWT_KEYS, {_PREFIX}JWT_ISSUER, {_PREFIX}JWT_AUDIENCE",
            )
        return settings

    @property
    def asks_who(self) -> bool:
        """Whether callers must authenticate; if not, only requests from this machine are answered."""
        return self.tokens is not None or self.jwt_keys is not None


def _positive(name: str, text: str, kind: type) -> int | float:
    try:
        value: int | float = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
    except ValueError:
        raise ConfigError(
            "A setting of the server is not understood.",
            expected="a whole number above zero" if kind is int else "a number above zero",
            found=text,
            where=f"environment variable {_PREFIX}{name.upper()}",
        ) from None
    return value

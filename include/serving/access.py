"""Access to the server: hashed bearer tokens, and JSON Web Tokens of one issuer."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.errors import ConfigError
from include.serving.settings import ServingSettings

EVERY = "*"
_SCOPE = "predict:"


@dataclass(frozen=True)
class Caller:
    """Who asks, and for which models."""

    name: str
    models: frozenset[str]

    def may(self, model: str) -> bool:
        """Tell whether the caller may see and ask a model."""
        return EVERY in self.models or model in self.models


ANYONE = Caller("this machine", frozenset({EVERY}))
"""Everybody on this machine, where the server is not told to ask who calls."""


def new_token(name: str, models: list[str], expires: datetime | None = None) -> tuple[str, dict[str, Any]]:
    """Return a token and its entry in the tokens file, from which the token can't be derived.

    The token has 256 random bits, so that one SHA-256 is as good as a slow hash.
    """
    token = f"ratchet_{secrets.token_urlsafe(32)}"
    entry: dict[str, Any] = {"name": name, "sha256": _hash(token), "models": sorted(models)}
    if expires is not None:
        entry["expires"] = expires.astimezone(UTC).isoformat()
    return token, entry


class Access:
    """Tells callers by their ``Authorization`` header.

    The files are read again when they change, so that a token is taken away without a restart.

    Raises
    ------
    ConfigError
        When a file is not what it should be.
    """

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self._read: dict[Path, tuple[tuple[int, int], Any]] = {}
        self._tokens()
        self._keys()

    def caller(self, authorization: str, now: datetime) -> Caller | None:
        """Return who asks, or None without a valid token."""
        if not self.settings.asks_who:
            return ANYONE
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return self._by_token(token.strip(), now) or self._by_jwt(token.strip())

    def _by_token(self, token: str, now: datetime) -> Caller | None:
        hashed, found = _hash(token), None
        # All entries are compared in constant time, so that the duration reveals nothing.
        for entry in self._tokens():
            if hmac.compare_digest(hashed, entry["sha256"]):
                found = entry
        if found is None or ("expires" in found and datetime.fromisoformat(found["expires"]) <= now):
            return None
        return Caller(found["name"], frozenset(found["models"]))

    def _by_jwt(self, token: str) -> Caller | None:
        keys = self._keys()
        if keys is None:
            return None
        import jwt

        try:
            wanted = jwt.get_unverified_header(token).get("kid")
            key = next((one for one in keys if one.key_id == wanted), None)
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # the key's, never the token's
                audience=self.settings.jwt_audience,
                issuer=self.settings.jwt_issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None
        scopes = claims.get("scope", "")
        names = scopes.split() if isinstance(scopes, str) else []
        models = frozenset(name.removeprefix(_SCOPE) for name in names if name.startswith(_SCOPE))
        return Caller(str(claims["sub"]), models)

    def _tokens(self) -> list[dict[str, Any]]:
        path = self.settings.tokens
        return [] if path is None else self._fresh(path, _tokens_in)

    def _keys(self) -> Any:
        path = self.settings.jwt_keys
        return None if path is None else self._fresh(path, _keys_in)

    def _fresh(self, path: Path, read: Any) -> Any:
        try:
            facts = path.stat()
            stamp = (facts.st_mtime_ns, facts.st_size)
            if path not in self._read or self._read[path][0] != stamp:
                self._read[path] = (stamp, read(path))
        except OSError as error:
            raise ConfigError("A file of tokens or keys can't be read.", found=error.strerror, where=path) from None
        return self._read[path][1]


def _tokens_in(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text())
        for entry in entries:
            if not isinstance(entry["name"], str) or len(bytes.fromhex(entry["sha256"])) != 32:
                raise ValueError
            if not all(isinstance(model, str) for model in entry["models"]) or isinstance(entry["models"], str):
                raise ValueError
            if "expires" in entry and datetime.fromisoformat(entry["expires"]).tzinfo is None:
                raise ValueError
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            "The file of tokens can't be used.",
            expected='a list of {"name": ..., "sha256": ..., "models": [...]}',
            where=path,
            remedy="write its entries by `python -m include token`",
        ) from None
    return list(entries)


def _keys_in(path: Path) -> list[Any]:
    import jwt

    try:
        keys = jwt.PyJWKSet.from_json(path.read_text()).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            "The file of JWT keys can't be used.",
            expected="a JSON Web Key Set",
            found=type(error).__name__,
            where=path,
        ) from None
    if any(key.algorithm_name.startswith("HS") or key.algorithm_name == "none" for key in keys):
        raise ConfigError(
            "The file of JWT keys holds a secret.",
            expected="public keys: who can check a token must not be able to make one",
            where=path,
        )
    return list(keys)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

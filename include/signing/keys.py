"""Ed25519 keys: the one that a deployment signs with, and those that it trusts."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import ConfigError, SignatureRefused
from include.signing.public_keys import key_id, require_cryptography, require_public_key
from include.storage.content import from_iso, to_iso

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and for signatures of which instants it is trusted.

    Attributes
    ----------
    name : str
        For people: who or what holds the private key.
    public : bytes
        32 of an Ed25519 key; of an ECDSA key on P-256 its SubjectPublicKeyInfo (DER).
    since, until : datetime
        A signature counts whose instant is at or after ``since`` and before ``until``.
    """

    name: str
    public: bytes
    since: datetime
    until: datetime = _EVER

    @property
    def id(self) -> str:
        """The key's id in envelopes: the SHA-256 of the public key."""
        return key_id(self.public)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the private key made this signature of this message."""
        require_cryptography()
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            if len(self.public) == 32:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
                from cryptography.hazmat.primitives.hashes import SHA256

                require_public_key(self.public).verify(signature, message, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the file of trusted keys."""
        entry = {"name": self.name, "public": base64.b64encode(self.public).decode(), "from": to_iso(self.since)}
        return entry if self.until == _EVER else {**entry, "until": to_iso(self.until)}


class TrustedKeys:
    """The keys whose signatures count. A key is replaced by adding another one; what it signed stays signed.

    Parameters
    ----------
    keys : iterable of TrustedKey
    where : str
        What holds the list, for messages.
    """

    def __init__(self, keys: Iterable[TrustedKey], where: str = "RATCHET_TRUSTED_KEYS") -> None:
        self.where = where
        self._keys = {key.id: key for key in keys}

    @classmethod
    def from_file(cls, path: Path) -> TrustedKeys:
        """Read a JSON list of ``{"name", "public", "from", "until"}``; ``until`` may be missing.

        Raises
        ------
        ConfigError
            When it can't be read, or is no such list.
        """
        try:
            entries = json.loads(path.read_bytes())
            keys = [_read_entry(entry) for entry in entries]
            if not keys or len({key.id for key in keys}) != len(keys):
                raise ValueError
        except OSError as error:
            raise ConfigError("The file of trusted keys can't be read.", found=error.strerror, where=path) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ConfigError(
                "The file of trusted keys can't be used.",
                expected='a list of {"name": ..., "public": ..., "from": ..., "until": ...}, each key once',
                where=path,
                remedy="write its entries by `python -m include key`",
            ) from None
        return cls(keys, str(path))

    def __iter__(self) -> Iterator[TrustedKey]:
        return iter(self._keys.values())

    def named(self, key: str, at: datetime, *, where: str) -> TrustedKey:
        """Return the key of an id, if it is trusted at an instant.

        Raises
        ------
        SignatureRefused
            When it is not trusted, or not at that instant.
        """
        found = self._keys.get(key)
        if found is None:
            raise SignatureRefused(
                "the signer is not known",
                expected=f"one of the {len(self._keys)} keys of {self.where}",
                found=f"key {key[:12]}",
                where=where,
                remedy="find out who signed it; add the key to the file of trusted keys only if you know whose it is",
            )
        if not found.since <= at < found.until:
            raise SignatureRefused(
                "the signer's key is not trusted for the instant of the signature",
                expected=f"{found.name}: from {to_iso(found.since)} until {to_iso(found.until)}",
                found=to_iso(at),
                where=where,
                remedy="sign with the key that is in force; a key that was stolen stays out",
            )
        return found


class SigningKey:
    """A private key.

    Parameters
    ----------
    pem : bytes
        PKCS #8, not encrypted, as `new_key` writes it and as ``openssl genpkey -algorithm ed25519`` does.
    where : str
        What holds it, for messages; the key itself is in none.
    """

    def __init__(self, pem: bytes, *, where: str) -> None:
        require_cryptography()
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(
                "The signing key can't be used.",
                expected="an Ed25519 private key as PEM (PKCS #8), not encrypted",
                where=where,
                remedy="make one by `python -m include key`, or by `openssl genpkey -algorithm ed25519`",
            )
        self._key = key
        self.where = where
        self.id = key_id(_public(key))

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message; the same message has the same signature."""
        signature: bytes = self._key.sign(message)
        return signature


def new_key(name: str, since: datetime) -> tuple[bytes, TrustedKey]:
    """Make a private key (PEM) and the entry by which its signatures are trusted from an instant on."""
    require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, TrustedKey(name, _public(key), since)


def _public(key: Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw: bytes = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return raw


def _read_entry(entry: dict[str, str]) -> TrustedKey:
    if unknown := set(entry) - {"name", "public", "from", "until"}:
        raise ValueError(unknown)
    try:
        public = base64.b64decode(entry["public"], validate=True)
    except binascii.Error as error:
        raise ValueError from error
    if not isinstance(entry["name"], str):
        raise ValueError
    if len(public) != 32:
        require_public_key(public)
    return TrustedKey(
        entry["name"], public, from_iso(entry["from"]), from_iso(entry["until"]) if "until" in entry else _EVER
    )

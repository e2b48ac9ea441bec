"""Public keys as bytes: Ed25519 by its 32 bytes, ECDSA on P-256 by its SubjectPublicKeyInfo."""

from __future__ import annotations

import hashlib
from typing import Any

from include.errors import ConfigError


def key_id(public: bytes) -> str:
    """Return the id of a public key."""
    return hashlib.sha256(public).hexdigest()


def require_public_key(public: bytes) -> Any:
    """Return an ECDSA key on P-256 of its SubjectPublicKeyInfo; bytes of length 32 are an Ed25519 key and come back as they are.

    Raises
    ------
    ValueError
        When the bytes are neither.
    """
    if len(public) == 32:
        return public
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(public)
    except UnsupportedAlgorithm as error:
        raise ValueError from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("a key of another kind")
    return key


def require_cryptography() -> None:
    """Raise `ConfigError` where the library that signs and verifies is missing."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise ConfigError(
            "Signatures can't be made or checked.",
            found="no library `cryptography`",
            remedy="pip install 'ratchet[serving]', or the repository's requirements.txt",
        ) from None

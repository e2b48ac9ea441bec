"""Signing keys in AWS Key Management Service, which never leave the service."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

from include.errors import ConfigError, RatchetError, StoreUnavailable
from include.signing.keys import SigningKey, TrustedKey
from include.signing.public_keys import key_id, require_public_key

SCHEME = "awskms:///"
"""Before the id, ARN or alias of a key, as other signing tools write it."""
_LARGEST = 4096
"""Bytes that KMS hashes by itself."""
_ALGORITHMS = ("ED25519_SHA_512", "ECDSA_SHA_256")
_ED25519 = bytes.fromhex("302a300506032b6570032100")  # before the key in its SubjectPublicKeyInfo (RFC 8410)


class KmsKey(SigningKey):
    """A private key in KMS, with the rights of this process's AWS credentials: ``kms:GetPublicKey`` and ``kms:Sign``.

    Parameters
    ----------
    name : str
        The key's id, ARN or alias.
    """

    def __init__(self, name: str) -> None:
        self.where = f"{SCHEME}{name}"
        self._name, self._client = name, _client()
        found = self._ask("get_public_key")
        offered = found.get("SigningAlgorithms", ())
        self._algorithm = next((one for one in _ALGORITHMS if one in offered), "")
        self.public = bytes(found["PublicKey"]).removeprefix(_ED25519)
        try:
            if not self._algorithm:
                raise ValueError
            require_public_key(self.public)
        except ValueError:
            raise ConfigError(
                "The key can't sign what Ratchet signs.",
                expected="a key to sign and verify, of the kind ECC_NIST_EDWARDS25519 or ECC_NIST_P256",
                found=f"a key for {', '.join(offered) or 'no signatures'}",
                where=self.where,
            ) from None
        self.id = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return a signature of a message; by ECDSA, which draws a number, each is another one."""
        body, kind = message, "RAW"
        if len(message) > _LARGEST:
            if self._algorithm != "ECDSA_SHA_256":
                raise ConfigError(
                    "The statement is too long for this kind of key.",
                    expected=f"at most {_LARGEST} bytes, which KMS signs by Ed25519",
                    found=f"{len(message)} bytes",
                    where=self.where,
                    remedy="make a key of the kind ECC_NIST_P256, of which KMS can be sent a digest",
                )
            body, kind = sha256(message).digest(), "DIGEST"
        answer = self._ask("sign", Message=body, MessageType=kind, SigningAlgorithm=self._algorithm)
        return bytes(answer["Signature"])

    def trusted(self, name: str, since: datetime) -> TrustedKey:
        """Return the entry by which its signatures are trusted from an instant on, without KMS."""
        return TrustedKey(name, self.public, since)

    def _ask(self, call: str, **facts: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, call)(KeyId=self._name, **facts)
            return answer
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise _refused(code, self.where) from None
        except BotoCoreError as error:
            raise StoreUnavailable("KMS did not answer.", found=type(error).__name__, where=self.where) from None


_PASSING = {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"}


def _refused(code: str, where: str) -> RatchetError:
    if code in _PASSING:
        return StoreUnavailable("KMS did not answer.", found=code, where=where)
    return ConfigError(
        "KMS does not sign with this key.",
        expected="an enabled key, and credentials that may `kms:GetPublicKey` and `kms:Sign` with it",
        found=code,
        where=where,
    )


@cache
def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("kms", config=Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10))

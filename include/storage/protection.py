"""How what lies in a bucket is encrypted, and how it goes there: two settings of the deployment, and what they ask of a server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from include.errors import ConfigError, StoreUnfit

_ENCRYPTION, _PLAIN = "RATCHET_STORE_ENCRYPTION", "RATCHET_STORE_PLAIN_HTTP"


@dataclass(frozen=True)
class Encryption:
    """What an S3 server is to encrypt objects with.

    Attributes
    ----------
    algorithm : str
        ``AES256`` (SSE-S3) or ``aws:kms`` (SSE-KMS).
    key : str or None
        The key's id or ARN for SSE-KMS; the account's own if None.
    """

    algorithm: str
    key: str | None = None

    @classmethod
    def from_environment(cls) -> Encryption | None:
        """Return what ``RATCHET_STORE_ENCRYPTION`` asks for; None if it is unset.

        Raises
        ------
        ConfigError
        """
        wanted = os.environ.get(_ENCRYPTION)
        if not wanted:
            return None
        found = re.fullmatch(r"(AES256)|(aws:kms)(?:/(\S+))?", wanted)
        if found is None:
            raise ConfigError(
                "How the store is to be encrypted is not understood.",
                expected="AES256, aws:kms, or aws:kms/ and a key's id or ARN",
                found=wanted,
                where=f"environment variable {_ENCRYPTION}",
            )
        return cls(found[1] or found[2], found[3])

    @property
    def put(self) -> dict[str, str]:
        """The arguments of a put."""
        named = {} if self.key is None else {"SSEKMSKeyId": self.key}
        return {"ServerSideEncryption": self.algorithm, **named}

    def require(self, head: dict[str, Any], where: str) -> None:
        """Raise `StoreUnfit` unless a server says of an object that it is encrypted like this.

        Parameters
        ----------
        head : dict
            What ``head_object`` returned.
        where : str
            The store and the object, for the message.
        """
        algorithm, key = head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")
        # A server names a key by its ARN, of which the id is the end.
        named = self.key is None or (key is not None and re.split("[:/]", key)[-1] == re.split("[:/]", self.key)[-1])
        if algorithm != self.algorithm or not named:
            raise StoreUnfit(
                "This S3 server does not encrypt what it is given as it is asked to.",
                expected=f"{self.algorithm}{f' with key {self.key}' if self.key else ''}",
                found=f"{algorithm or 'no encryption'}{f' with key {key}' if key else ''}",
                where=where,
                remedy=f"use a server that encrypts, look at the bucket's own encryption, or unset {_ENCRYPTION}",
            )


def require_tls(address: str) -> None:
    """Raise `ConfigError` if objects would go to an S3 server in plain text over a network.

    Permitted are this machine, and the hosts that ``RATCHET_STORE_PLAIN_HTTP`` names, separated by commas or blanks.

    Parameters
    ----------
    address : str
        The server's, as ``https://host`` or ``http://host:port``.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "https" or _is_this_machine(host):
        return
    if host not in re.split(r"[,\s]+", os.environ.get(_PLAIN, "")):
        raise ConfigError(
            "The store would be spoken to in plain text.",
            expected="an address that begins with https://",
            found=f"{parts.scheme}://{host}",
            where="the endpoint of the S3 client: `endpoint_url` of the connection, or AWS_ENDPOINT_URL_S3",
            remedy=f"give the server a certificate. Where nobody else can listen, as between containers of one machine: {_PLAIN}={host}",
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Open the store that a setting names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from include.errors import ConfigError
from include.storage.local import LocalStore
from include.storage.store import PrunableStore

_PLAIN = "RATCHET_STORE_PLAIN_HTTP"


def open_store(url: str, *, s3_client: Callable[[], Any] | None = None) -> PrunableStore:
    """Return the store at ``url``; nothing is read or written yet, and a server that can't keep a ledger is refused at the first write.

    Parameters
    ----------
    url : str
        ``file:///absolute/folder`` or ``s3://bucket/prefix`` (the prefix may be missing).
    s3_client : callable, optional
        Makes the client for S3; without it boto3 finds address and credentials in its usual places.

    Raises
    ------
    ConfigError
        When ``url`` is neither, or the server would be spoken to in plain text over a network.
    """
    parts = urlsplit(url)
    if not (parts.query or parts.fragment):
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
            return LocalStore(Path(unquote(parts.path)))
        if parts.scheme == "s3" and parts.netloc:
            from include.storage.probe import Encryption, ProbedS3Store

            client = (s3_client or _client)()
            require_tls(client.meta.endpoint_url)
            prefix, encryption = parts.path.strip("/"), Encryption.from_environment()
            return ProbedS3Store(client, parts.netloc, prefix, encryption=encryption)
    raise ConfigError(
        "the store's address can't be used",
        expected="file:///absolute/folder or s3://bucket/prefix",
        found=url,
        where="setting RATCHET_STORE",
        remedy=f"write file://{url}" if url.startswith("/") else None,
    )


def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10))


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
            "The connection to the store would not be encrypted.",
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

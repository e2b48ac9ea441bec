"""The store that a setting names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from include.errors import ConfigError
from include.storage.local import LocalStore
from include.storage.store import PrunableStore


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
        When ``url`` is neither.
    """
    parts = urlsplit(url)
    if not (parts.query or parts.fragment):
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
            return LocalStore(Path(unquote(parts.path)))
        if parts.scheme == "s3" and parts.netloc:
            from include.storage.probe import ProbedS3Store

            return ProbedS3Store((s3_client or _client)(), parts.netloc, parts.path.strip("/"))
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

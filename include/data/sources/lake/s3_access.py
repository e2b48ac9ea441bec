"""The credentials and endpoint of an S3 client, for libraries that create their own client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.errors import ConfigError


@dataclass(frozen=True)
class S3Access:
    """Where an S3 client sends requests, and as whom."""

    key: str
    secret: str
    token: str
    region: str
    address: str

    @classmethod
    def of(cls, client: Any) -> S3Access:
        """Return what a boto3 client was opened with; raises `ConfigError` where it has no credentials."""
        found = client._request_signer._credentials
        if found is None:
            raise ConfigError(
                "There are no credentials for S3.",
                expected="those of `connection`, or of AWS's default chain",
                where="data.source.connection",
                remedy="name an Airflow connection of type `aws`",
            )
        frozen = found.get_frozen_credentials()
        region = client.meta.region_name or "us-east-1"
        return cls(frozen.access_key, frozen.secret_key, frozen.token or "", region, client.meta.endpoint_url)

    @property
    def plain_http(self) -> bool:
        """Whether the address is one without encryption, as of a server on this machine."""
        return self.address.startswith("http://")


def unanswered(error: Exception) -> bool:
    """Return whether the words of a library's error about S3 say that it did not answer, so that a retry may help."""
    text = str(error)
    signs = ("error sending request", "timed out", "Timeout", "NETWORK_CONNECTION", "Connection", "Could not connect")
    return any(
        sign in text for sign in (*signs, "InternalError", "ServiceUnavailable", "SlowDown", "HTTP response code: 50")
    )

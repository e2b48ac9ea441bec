"""The interface through which sources get clients, by the name of an Airflow connection."""

from __future__ import annotations

from typing import Any, Protocol


class Connections(Protocol):
    """Opens clients; the operators do it from Airflow's connections, tests by hand."""

    def s3(self, connection: str | None) -> Any:
        """Return a boto3 S3 client; None means boto3's own chain of credentials."""

    def sql(self, connection: str) -> Any:
        """Return a SQLAlchemy engine."""

    def spark(self, connection: str) -> str:
        """Return the URL of a Spark Connect server, `sc://host:port/;token=...`."""

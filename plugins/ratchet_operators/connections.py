"""Clients of the outside world from Airflow's connections, for the parts of ``include`` that need one."""

from __future__ import annotations

from typing import Any


def s3_client(connection: str | None) -> Any:
    """Return a boto3 S3 client from an Airflow connection of type ``aws``, or from boto3's own chain."""
    if connection is None:
        import boto3

        return boto3.client("s3")
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    return AwsGenericHook(aws_conn_id=connection, client_type="s3").get_conn()


class AirflowConnections:
    """What a model's source may open: buckets and databases, by connection id."""

    def s3(self, connection: str | None) -> Any:
        """Return a boto3 S3 client."""
        return s3_client(connection)

    def sql(self, connection: str) -> Any:
        """Return a SQLAlchemy engine."""
        from airflow.sdk import BaseHook

        hook = BaseHook.get_connection(connection).get_hook()  # type: ignore[no-untyped-call] # as Airflow has it
        return hook.get_sqlalchemy_engine()

"""Connections are opened as what they are; what is of another type is named, with what would do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.errors import ConfigError
from ratchet_operators.connections import AirflowConnections


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"host": "spark.example"}, "sc://spark.example:15002/"),
        ({"host": "sc://spark.example", "port": 443}, "sc://spark.example:443/"),
        (
            {"host": "spark.example", "login": "me", "password": "a;b=c/d", "extra": {"use_ssl": True}},
            "sc://spark.example:15002/;user_id=me;token=a%3Bb%3Dc%2Fd;use_ssl=True",
        ),
    ],
)
def test_a_spark_connection_is_the_url_of_its_server(
    connection: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK", json.dumps({"conn_type": "generic", **connection}))
    assert AirflowConnections().spark("spark") == url


@pytest.mark.parametrize("connection", [None, {"conn_type": "generic", "password": "x"}])
def test_a_spark_connection_that_names_no_server_is_refused(
    connection: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_SPARK", json.dumps(connection))
    with pytest.raises(ConfigError, match=r"(?s)connection spark with a host.*AIRFLOW_CONN_SPARK"):
        AirflowConnections().spark("spark")


@pytest.mark.parametrize(
    ("connection", "found"),
    [
        (None, "no such connection"),
        ({"conn_type": "duckling", "host": "secret.example"}, "type duckling"),
        ({"conn_type": "aws", "login": "secret.example"}, "type aws"),
        ({"conn_type": "http", "host": "secret.example"}, "type http"),
    ],
)
def test_a_connection_of_another_type_is_named_and_not_shown(
    connection: dict[str, str] | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    with pytest.raises(ConfigError) as refused:
        AirflowConnections().sql("warehouse")
    message = str(refused.value)
    assert found in message and "AIRFLOW_CONN_WAREHOUSE" in message and "postgres" in message
    assert "secret.example" not in message

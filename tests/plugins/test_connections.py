"""Connections that are no database's are named, with what would be one."""

from __future__ import annotations

import json

import pytest

from include.errors import ConfigError
from ratchet_operators.connections import AirflowConnections


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

from __future__ import annotations

from pathlib import Path

import pytest

from include.command_line.local_airflow.environment import airflow_environment, password


def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path):
    first = airflow_environment(tmp_path, 8080)
    known = password(tmp_path)

    assert airflow_environment(tmp_path, 8080) == first
    assert password(tmp_path) == known
    files = list((tmp_path / "secrets").iterdir())
    assert len(files) == 4
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_two_checkouts_have_different_secrets(tmp_path: Path):
    first, second = airflow_environment(tmp_path / "a", 8080), airflow_environment(tmp_path / "b", 8080)
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] != second["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert password(tmp_path / "a") != password(tmp_path / "b")


def test_another_airflow_of_the_caller_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_HOME", "/srv/production")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "production")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://production")
    monkeypatch.setenv("AIRFLOW_CONN_STORE", "aws://")
    monkeypatch.setenv("RATCHET_STORE", "s3://bucket/prefix")

    environment = airflow_environment(tmp_path, 8080)

    assert "production" not in " ".join(environment.values())
    assert environment["AIRFLOW_HOME"] == str(tmp_path)
    assert environment["AIRFLOW_CONN_STORE"] == "aws://"
    assert environment["RATCHET_STORE"] == "s3://bucket/prefix"


def test_it_listens_on_the_loopback_address_only(tmp_path: Path):
    environment = airflow_environment(tmp_path, 8123)
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_a_task_computes_with_one_thread_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RATCHET_THREADS", raising=False)
    assert airflow_environment(tmp_path, 8080)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("RATCHET_THREADS", "3")
    assert airflow_environment(tmp_path, 8080)["OMP_NUM_THREADS"] == "3"

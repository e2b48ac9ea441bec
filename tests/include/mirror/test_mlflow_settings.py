"""What is set wrong for a mirror is said before anything is asked."""

from __future__ import annotations

import sys

import pytest

from include.config.settings import Settings
from include.errors import ConfigError
from include.mirror.mlflow_mirror import mirror
from include.registry.ledger import Ledger
from include.storage.local import LocalStore


def test_without_a_server_or_its_client_a_mirror_says_what_to_do(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no MLflow server"):
        mirror(Ledger(local_store, "parcels"))
    monkeypatch.setenv("RATCHET_MLFLOW", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as where it is not installed
    with pytest.raises(ConfigError, match="not installed") as missing:
        mirror(Ledger(local_store, "parcels"))
    assert "requirements-mlflow.txt" in str(missing.value.remedy)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATCHET_MLFLOW", "mlflow:5000"),
        ("RATCHET_MLFLOW", "https://me:secret@mlflow"),
        ("RATCHET_MLFLOW_NAME", "flight_delay"),
        ("RATCHET_MLFLOW_NAME", "team/{model}"),
    ],
)
def test_an_address_or_a_name_that_mlflow_would_not_take_is_refused_without_repeating_a_password(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name) as refused:
        Settings.from_environment()
    assert "secret" not in str(refused.value)

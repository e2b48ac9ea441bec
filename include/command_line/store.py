"""Open the store for commands, with the connection that tasks use."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from include.config.settings import ROOT, Settings
from include.storage.opening import open_store
from include.storage.store import PrunableStore


def store_of_settings() -> PrunableStore:
    """Open the store that ``RATCHET_STORE`` names, for S3 by the Airflow connection that ``RATCHET_STORE_CONNECTION`` names.

    A connection that is kept in Airflow's database is none for a command: tasks alone may ask for those.

    Raises
    ------
    ConfigError
        When there is no such connection.
    """
    settings = Settings.from_environment()
    return store_at(settings.store, settings.store_connection)


def store_at(url: str, connection: str | None = None) -> PrunableStore:
    """Open the store at an address, for S3 by an Airflow connection if one is named; raises `ConfigError`."""
    return open_store(url, s3_client=None if connection is None else lambda: _client(connection))


def airflow_connections() -> Any:
    """Return what opens databases and buckets by Airflow's connections, those in environment variables."""
    return _airflow_side().AirflowConnections()


def _client(connection: str) -> Any:
    return _airflow_side().s3_client(connection)


def _airflow_side() -> Any:
    # Airflow alone knows what its connections mean. As it loads its plugins: by name, and only where one is asked for.
    if (plugins := str(ROOT / "plugins")) not in sys.path:
        sys.path.append(plugins)
    return importlib.import_module("ratchet_operators.connections")

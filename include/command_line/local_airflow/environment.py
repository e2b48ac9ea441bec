"""Configuration of the local Airflow of ``make demo`` and ``make up``, as environment variables.

Settings that every deployment shares are in ``airflow.env``; the others are here.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from include.config.settings import ROOT

USER = "admin"
_DROPPED = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "VIRTUAL_ENV")


def airflow_environment(home: Path, port: int, database: str | None = None) -> dict[str, str]:
    """Return the environment of every Airflow process.

    Settings of another Airflow that the caller's environment may hold are left out; its connections and variables
    (``AIRFLOW_CONN_*``, ``AIRFLOW_VAR_*``) and Ratchet's own settings go along.

    Parameters
    ----------
    home : Path
        Where Airflow keeps its database, logs and secrets.
    port : int
        The port of its API server on the loopback address.
    database : str, optional
        SQLAlchemy's address of another database than an SQLite file in ``home``.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    threads = os.environ.get("RATCHET_THREADS")
    address = f"http://127.0.0.1:{port}"
    return {
        **kept,
        **shared_settings(),
        **({"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads} if threads else {}),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "ratchet_operators.resting_executor.LocalExecutor",
        # Three training tasks each of two runs; an idle process costs little, and one of a task that has ended may stay busy
        # for five seconds more: its supervisor looks no sooner whether it is gone.
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(home)),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        **secret_settings(home),
    }


def shared_settings() -> dict[str, str]:
    """Return the settings in ``airflow.env``, which docker-compose.yaml and Kubernetes take from there as well."""
    lines = (line.strip() for line in (ROOT / "airflow.env").read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secret_settings(home: Path) -> dict[str, str]:
    """Return Airflow's keys, which are made up and kept under ``home/secrets`` when they are first asked for."""
    return {
        "AIRFLOW__CORE__FERNET_KEY": _secret(home, "fernet_key", length=32),
        "AIRFLOW__API__SECRET_KEY": _secret(home, "secret_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(home, "jwt_secret"),
    }


def keep_password(path: Path, chosen: str | None, *, form: Callable[[str], str] = str, mode: int = 0o600) -> None:
    """Keep a password in a file: ``chosen``, or else the one that is there, or one that is made up.

    Parameters
    ----------
    form : callable
        How the file says it.
    mode : int
        Who may read it.
    """
    text = form(chosen) if chosen else None
    if text and path.exists() and path.read_text() != text:
        path.unlink()
    _once(path, lambda: text or form(secrets.token_urlsafe(12))).chmod(mode)


def password(home: Path) -> str:
    """Return the password of `USER` of the local Airflow."""
    return str(json.loads(_passwords(home).read_text())[USER])


def of_user(password: str) -> str:
    """Return the content of Airflow's file of passwords."""
    return json.dumps({USER: password}) + "\n"


def _passwords(home: Path) -> Path:
    keep_password(path := home / "secrets" / "passwords.json", None, form=of_user)
    return path


def _secret(home: Path, name: str, *, length: int = 64) -> str:
    path = _once(home / "secrets" / name, lambda: base64.urlsafe_b64encode(secrets.token_bytes(length)).decode())
    return path.read_text()


def _once(path: Path, generate: Callable[[], str]) -> Path:
    """Write a file that only its owner can read, unless it is there already."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(generate())
        draft.replace(path)
    return path

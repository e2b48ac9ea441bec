"""What docker-compose needs before Airflow starts: secrets, a bucket, and a store that can keep a ledger."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from include.command_line.local_airflow.environment import keep_password, of_user, secret_settings
from include.errors import ConfigError, StoreUnavailable
from include.storage.opening import open_store
from include.storage.probe import ProbedS3Store

log = logging.getLogger(__name__)

# As docker-compose.yaml and .env.example have them.
_KNOWN = {
    "POSTGRES_PASSWORD": "ratchet",
    "REDIS_PASSWORD": "ratchet",
    "AWS_SECRET_ACCESS_KEY": "ratchet-localhost",
}
_OF_PEOPLE = ("AIRFLOW_ADMIN_PASSWORD", "GRAFANA_PASSWORD")
_ATTEMPTS = 30


def prepare(home: Path, store: str, environment: Mapping[str, str]) -> None:
    """Make what is missing; what is there stays as it is.

    Parameters
    ----------
    home : Path
        Airflow's folder, whose ``secrets`` all components share; ``passwords`` are for those that people log in to.
    store : str
        The address of the store.
    environment : mapping
        ``RATCHET_BIND``, the address on which Airflow is published; the passwords between the containers; and
        ``AIRFLOW_ADMIN_PASSWORD`` and ``GRAFANA_PASSWORD``, which take the place of passwords that would be made up.

    Raises
    ------
    ConfigError
        When other machines could reach Airflow, and a password is one that everybody knows; or when a person's password is, on any machine.
    StoreUnfit
        When the store's server lets two writers of one object win.
    """
    _refuse_known_passwords(environment)
    secret_settings(home)
    # Not with the keys, which workers need.
    people, before = home / "passwords" / "passwords.json", home / "secrets" / "passwords.json"
    if before.exists():  # as a release before this one kept it
        people.write_text(before.read_text())
        before.unlink()
    keep_password(people, environment.get("AIRFLOW_ADMIN_PASSWORD") or None, form=of_user)
    # Grafana runs as another user of the same group.
    keep_password(people.with_name("grafana"), environment.get("GRAFANA_PASSWORD") or None, mode=0o640)
    _keep_serving_token(home / "secrets")
    if store.startswith("s3://"):
        _prepare_bucket(store)


def _keep_serving_token(secrets: Path) -> None:
    """Make the token with which the server of predictions is asked, unless there is one."""
    from include.serving.access import EVERY, new_token

    entries = secrets / "serving_tokens.json"
    if entries.exists() and entries.stat().st_size:
        return
    token, entry = new_token("compose", [EVERY])
    # Each whole or not at all, and last the one that is looked for: an empty list would keep the server from starting for good.
    for path, text in ((secrets / "serving_token", token), (entries, json.dumps([entry]))):
        keep_password(path, text)


def _refuse_known_passwords(environment: Mapping[str, str]) -> None:
    if guessed := [name for name in _OF_PEOPLE if environment.get(name) == "admin"]:
        raise ConfigError(
            "The user `admin` would have the password `admin`.",
            found=", ".join(guessed),
            where=".env",
            remedy="set another one, or none: then it is made up",
        )
    bind = environment.get("RATCHET_BIND") or "127.0.0.1"
    with contextlib.suppress(ValueError):
        if bind == "localhost" or ip_address(bind).is_loopback:
            return
    if known := [name for name, value in _KNOWN.items() if environment.get(name, value) == value]:
        raise ConfigError(
            f"Airflow would be published on {bind} with passwords that everybody knows.",
            expected="passwords of your own wherever other machines can reach it",
            found=", ".join(known).replace("AWS_SECRET_ACCESS_KEY", "STORE_SECRET_KEY"),
            where=".env",
            remedy="copy .env.example to .env and set them there, or leave RATCHET_BIND at 127.0.0.1",
        )


def _prepare_bucket(url: str) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client, bucket = boto3.client("s3"), urlsplit(url).netloc
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            client.create_bucket(Bucket=bucket)
            log.info("bucket %s is made", bucket)
            break
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            if code in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                break
            if attempt == _ATTEMPTS:
                raise StoreUnavailable(
                    "The bucket can't be made.", expected="a store that answers", found=error, where=url
                ) from error
            time.sleep(1)
    store = open_store(url, s3_client=lambda: client)
    if isinstance(store, ProbedS3Store):
        store.require_fit()

"""Signing settings of a deployment: its key, the trusted keys, and the places of anchors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from include.config.settings import Settings
from include.errors import ConfigError
from include.signing.anchors import Anchor, FileAnchor, StoreAnchor, lies_in
from include.signing.heads import SignedHeads
from include.signing.keys import SigningKey, TrustedKeys
from include.storage.opening import open_store
from include.storage.store import ObjectStore

_VARIABLE = "variable://"


class AirflowSide:
    """What only Airflow knows: connections and variables. `ratchet_operators.connections` gives it to its tasks.

    A process without Airflow, such as a server or a command, has none: it signs with a key file, and does not ask
    anchors that are Airflow variables.
    """

    signing_pem: Callable[[str], bytes] | None = None
    """Returns the private key (PEM) that an Airflow connection holds."""
    variable_anchor: Callable[[str], Anchor | None] | None = None
    """Returns the anchor in Airflow variables with this prefix; None where this process can't read variables."""


def heads_of_deployment(store: ObjectStore, model: str) -> SignedHeads | None:
    """Return what signs and checks the heads of a model's ledger; None where nothing is to be trusted.

    Raises
    ------
    ConfigError
        When settings contradict each other, or a file that they name can't be used.
    """
    settings = Settings.from_environment()
    trusted = trusted_keys()
    if trusted is None:
        return None
    anchors = [found for url in anchors_of(settings, store) if (found := _anchor(url, store)) is not None]
    return SignedHeads(store, model, trusted, key=signing_key(store), anchors=anchors)


def anchors_of(settings: Settings, store: ObjectStore) -> tuple[str, ...]:
    """Return the addresses of the anchors that remember the ledgers of a store.

    An anchor remembers one ledger of a model. The ledgers of another stage are remembered beside the deployment's own, under an address
    that ends with ``@`` and the stage, which is no name of a model.

    Parameters
    ----------
    settings : Settings
    store : ObjectStore
    """
    stages = {url.rstrip("/"): name for name, url in settings.stages}
    stage = stages.get(store.url.rstrip("/"))
    if stage is None or store.url.rstrip("/") == settings.store.rstrip("/"):
        return settings.anchors
    return tuple(f"{url.rstrip('/')}{'' if _has_folder(url) else '/'}@{stage}" for url in settings.anchors)


def _has_folder(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme != "s3" or bool(parts.path.strip("/"))


def trusted_keys() -> TrustedKeys | None:
    """Return the keys that `RATCHET_TRUSTED_KEYS` lists; None if it is unset."""
    path = Settings.from_environment().trusted_keys
    return None if path is None else TrustedKeys.from_file(path)


def signing_key(store: ObjectStore) -> Callable[[], SigningKey] | None:
    """Return what reads the key that this process signs with, once it has to; None if it has none."""
    settings = Settings.from_environment()
    if settings.signing_kms is not None:
        return partial(_key_of_kms, settings.signing_kms)
    if settings.signing_key is not None:
        return partial(_key_of_file, settings.signing_key, store)
    if settings.signing_connection is not None and (pem := AirflowSide.signing_pem) is not None:
        return partial(_key_of_connection, pem, settings.signing_connection)
    return None


def unasked_anchors() -> tuple[str, ...]:
    """Return the anchors that this process can't read, since it is not a task of Airflow."""
    anchors = Settings.from_environment().anchors
    return tuple(url for url in anchors if url.startswith(_VARIABLE) and _variable(url) is None)


def _key_of_file(path: Path, store: ObjectStore) -> SigningKey:
    if lies_in(path, store):
        raise ConfigError("The signing key must not lie in the store.", found=path, where="RATCHET_SIGNING_KEY")
    try:
        return SigningKey(path.read_bytes(), where=str(path))
    except OSError as error:
        raise ConfigError("The signing key can't be read.", found=error.strerror, where=path) from None


@lru_cache(maxsize=1)
def _key_of_connection(pem: Callable[[str], bytes], connection: str) -> SigningKey:
    return SigningKey(pem(connection), where=f"Airflow connection {connection}")


@lru_cache(maxsize=1)
def _key_of_kms(name: str) -> SigningKey:
    from include.signing.kms import KmsKey

    return KmsKey(name)


def _variable(url: str) -> Anchor | None:
    make = AirflowSide.variable_anchor
    return None if make is None else make(url.removeprefix(_VARIABLE))


def _anchor(url: str, store: ObjectStore) -> Anchor | None:
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FileAnchor(Path(unquote(parts.path)), store)
    if parts.scheme == "s3" and parts.netloc:
        if url.rstrip("/") == store.url.rstrip("/"):
            raise ConfigError("An anchor must not be the store itself.", found=url, where="RATCHET_ANCHORS")
        return StoreAnchor(open_store(url))
    if url.startswith(_VARIABLE) and parts.netloc and not parts.path:
        return _variable(url)
    raise ConfigError(
        "An anchor's address can't be used.",
        expected="file:///absolute/folder, s3://bucket/prefix or variable://prefix_of_names, with blanks between several",
        found=url,
        where="environment variable RATCHET_ANCHORS",
    )

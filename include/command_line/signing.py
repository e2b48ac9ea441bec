"""Make a signing key, and sign what stands from before signing."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from include.command_line.store import store_of_settings
from include.config.settings import Settings
from include.errors import ConfigError
from include.registry.ledger import Ledger
from include.registry.naming.renamed import stored_ledger_name
from include.signing.deployment import heads_of_deployment
from include.signing.keys import new_key
from include.signing.kms import SCHEME, KmsKey
from include.storage.content import to_iso
from include.storage.log import Log


def make_key(place: str, name: str, since: datetime) -> str:
    """Write a new private key that only its owner can read, and return the entry of the file of trusted keys.

    Parameters
    ----------
    place : str
        A file that is not there yet; or, as ``awskms:///<id, ARN or alias>``, a key of AWS KMS that is there, of which
        the entry is returned.

    Raises
    ------
    ConfigError
        When the file is there already, or can't be written.
    """
    if place.startswith(SCHEME):
        return json.dumps(KmsKey(place.removeprefix(SCHEME)).trusted(name, since).to_json())
    path = Path(place)
    pem, trusted = new_key(name, since)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise ConfigError("A file is there already; a key is never overwritten.", where=path) from None
    except OSError as error:
        raise ConfigError(
            "The key can't be written.",
            found=error.strerror,
            where=path,
            remedy="name a file in a folder that is there and yours",
        ) from None
    return json.dumps(trusted.to_json())


def sign(model: str, at: datetime) -> str:
    """Sign the ledger and versions of a model, or of ``model/segment``, as they stand, and return what was done.

    Parameters
    ----------
    at : datetime
        The instant of the signatures.

    Raises
    ------
    ConfigError
        When nothing is there to sign, or the deployment does not sign.
    ChainBroken, LedgerRewound
        When the ledger is not sound in itself, or not the one that an anchor remembers.
    """
    store = store_of_settings()
    model = stored_ledger_name(store, model, Settings.from_environment().models)
    heads = heads_of_deployment(store, model)
    entries = Log(store, f"{model}/ledger").verify()
    if heads is None or not entries:
        raise ConfigError(
            f"There is nothing to sign of {model}.",
            expected="a ledger with events, and RATCHET_TRUSTED_KEYS",
            found=f"{len(entries)} events" if heads else "RATCHET_TRUSTED_KEYS is not set",
            where=store.url,
        )
    heads.adopt(entries, at=to_iso(at))
    versions = Ledger(store, model).sign_versions(at=at)
    newest = entries[-1]
    return f"{versions} versions and {len(entries)} events of {model} are vouched for, up to {newest.digest[:12]} of {newest.at}"

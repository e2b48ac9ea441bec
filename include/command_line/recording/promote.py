"""The command that sends a champion to another stage."""

from __future__ import annotations

from datetime import datetime

from include.command_line.ledger_queries import ledger_of
from include.command_line.recording.naming import actor_of
from include.command_line.store import store_at
from include.command_line.watch import declared
from include.config.settings import Settings
from include.errors import ConfigError, did_you_mean
from include.registry.ledger import Ledger
from include.stages import send


def promote(model: str, version: str | None, to: str, connection: str | None, at: datetime) -> str:
    """Copy a champion to another stage's store and register it there, and return what was done.

    Parameters
    ----------
    version : str or None
        The version's id, the beginning of it or an alias; None for the champion.
    to : str
        A name of ``RATCHET_STAGES``, or the address of a store.
    connection : str or None
        The Airflow connection of the other store, where it needs one of its own.
    at : datetime
        The instant that goes on record.

    Raises
    ------
    ConfigError
        When there is no such stage, or the deployment remembers heads in anchors and the store is no stage's.
    """
    settings = Settings.from_environment()
    stages = dict(settings.stages)
    url = to if "://" in to else stages.get(to)
    if url is None:
        raise ConfigError(
            "There is no such stage.",
            expected=", ".join(stages) or "a name of RATCHET_STAGES, which is not set, or the address of a store",
            found=to,
            remedy=did_you_mean(to, stages, mark=""),
        )
    if settings.anchors and url not in stages.values():
        raise ConfigError(
            "An anchor remembers one ledger of a model, and this command would write to another ledger.",
            expected="a stage of RATCHET_STAGES, whose ledgers the anchors remember under its name",
            found=f"RATCHET_ANCHORS is set, and {url} is no stage",
            remedy=f"name the store in RATCHET_STAGES, such as RATCHET_STAGES='production={url}'",
        )
    config, ledger = declared(model), ledger_of(model)
    folder = config.folder(settings.models)
    target = Ledger(store_at(url, connection or dict(settings.stage_connections).get(to)), config.name)
    done = send(ledger, target, config, folder, version, actor=actor_of("promote", at), at=at)
    copied = f"{done.objects:,} objects were copied, {done.present:,} were there already."
    if not done.registered:
        return f"{done.version} is registered in {url} already. {copied}"
    waits = f"There it waits for that stage's gate: trigger reconsider_{model} with its id."
    return f"{done.version} is registered in {url}. {copied} {waits}"

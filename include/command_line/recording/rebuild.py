"""The command that rebuilds a version after an upgrade of libraries."""

from __future__ import annotations

from datetime import datetime

from include.command_line.ledger_queries import ledger_of
from include.command_line.recording.naming import actor_of
from include.command_line.watch import declared
from include.config.settings import Settings
from include.errors import NotReproduced
from include.registry.naming.lookup import find_version
from include.reproduction.rebuild import rebuild as run_rebuild


def rebuild(model: str, version: str | None, tolerance: float, at: datetime) -> str:
    """Put a version in force that is trained again under the libraries here, and return what was done.

    Parameters
    ----------
    version : str or None
        The version's id, or the beginning of it; None for the champion.
    tolerance : float
        How far predictions may differ: of probabilities as it is, of values times the standard deviation of the target.
    at : datetime
        The instant that goes on record.

    Raises
    ------
    NotReproduced
        When the predictions differ.
    """
    settings = Settings.from_environment()
    ledger, config = ledger_of(model), declared(model)
    folder = config.folder(settings.models)
    actor = actor_of("rebuild", at)
    found = find_version(ledger.timeline(), version)
    done = run_rebuild(ledger, config, folder, found, actor=actor, at=at, tolerance=tolerance, threads=settings.threads)
    if done.version is None:
        report = f"{ledger.model}/reproductions/{done.digest}.json"
        raise NotReproduced(
            done.sentence,
            where=f"the report {report}",
            remedy="choose a greater --tolerance, or retrain the model",
        )
    return done.sentence

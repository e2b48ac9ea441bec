"""Commands that query a ledger in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from include.command_line.ledger_table import draw_table, ledger_table
from include.command_line.store import store_of_settings
from include.config.sections.evaluation import Gate
from include.config.sections.rows.segments import owner_of, segment_of
from include.config.settings import Settings
from include.config.yaml_text import read_yaml_file
from include.data.segment_log import segment_models
from include.errors import ConfigError
from include.registry.history.policy_replay import rejudge, replay
from include.registry.ledger import Ledger
from include.registry.naming.aliases import alias_moves
from include.registry.naming.renamed import stored_ledger_name
from include.scoring.delivery_log import superseded
from include.scoring.publication import Publication, window_of
from include.storage.concurrency import at_once
from include.storage.content import from_iso
from include.storage.log import Entry


def ledger_of(model: str) -> Ledger:
    """Return the ledger of a model, or of ``model/segment``, of a renamed model by any of its names; raises `ConfigError` if it is empty."""
    store = store_of_settings()
    ledger = Ledger(store, stored_ledger_name(store, model, Settings.from_environment().models))
    if not ledger.entries():
        raise ConfigError(
            f"The ledger of {model} is empty.",
            where=ledger.store.url,
            remedy="check the model's name and RATCHET_STORE, or run its DAG retrain_" + owner_of(model),
        )
    return ledger


def history(model: str, instant: datetime | None) -> str:
    """Return the versions, and which was champion when: by all that is known now, and in fact.

    Parameters
    ----------
    instant : datetime, optional
        Answer for this instant only.
    """
    ledger = ledger_of(model)
    timeline = ledger.timeline()
    if instant is not None:
        stands, fact = timeline.champion_as_of(instant), ledger.timeline(recorded_by=instant).champion
        return (
            f"as of {instant:%Y-%m-%d %H:%M}: {stands or 'no champion'}\nin force then in fact: {fact or 'no champion'}"
        )
    as_of = draw_table(
        ["as of", "champion from then on, by all that is known now"], [[_day(t), v] for t, v in timeline.champions()]
    )
    fact = draw_table(
        ["recorded", "in force from then on, in fact"], [[_second(t), v or "none"] for t, v in ledger.in_fact()]
    )
    moves = alias_table(ledger.entries(fresh=False))
    renamed = [] if ledger.model == model else [f"renamed from {ledger.model}, under which the store keeps it"]
    return "\n\n".join([*renamed, ledger_table(timeline), as_of, fact, *([moves] if moves else [])])


def alias_table(entries: Iterable[Entry]) -> str:
    """Return where each alias pointed from when, by whom it was moved, and why; empty without aliases."""
    rows = [
        [
            move.alias,
            _second(from_iso(move.entry.at)),
            move.version or "no version",
            str(move.entry.body["actor"].get("user", "")),
            str(move.entry.body["reason"]),
        ]
        for move in alias_moves(entries)
    ]
    return draw_table(["alias", "recorded", "points at from then on", "by", "because"], rows) if rows else ""


def what_if(model: str, policy: Path | None) -> str:
    """Return what another policy would have done with all past evidence; without one, whether each decision is reproduced.

    Parameters
    ----------
    policy : Path, optional
        A YAML file that holds a ``gate``, such as a changed model.yaml.
    """
    ledger = ledger_of(model)
    found = rejudge(ledger) if policy is None else replay(ledger, read_policy(policy))
    rows = [
        [one.version, one.recorded.value, one.outcome.value if one.outcome else "unknown", one.reason] for one in found
    ]
    differing = sum(one.differs for one in found)
    unknown = sum(one.outcome is None for one in found)
    closing = f"{len(found)} decisions: {differing} would differ, {unknown} can't be told from past evidence."
    return f"{draw_table(['version', 'recorded', 'replayed', 'reason'], rows)}\n\n{closing}"


def read_policy(path: Path) -> Gate:
    """Read the ``gate`` of a YAML file.

    Raises
    ------
    ConfigError
        When the file holds none, or one that is not valid.
    """
    value, _ = read_yaml_file(path, str(path))
    gate = value.get("gate") if isinstance(value, dict) else None
    try:
        return Gate.model_validate(gate)
    except ValidationError as error:
        raise ConfigError(
            "This is no policy.", expected="a `gate`, as in docs/model-yaml.md", found=error, where=path
        ) from None


def _day(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}"


def _second(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def batch_scores(model: str) -> str:
    """Return each interval with the scores in force, and who should have made them where that is another version.

    Of a model with segments these are looked at one by one. It reads one log an interval, and lists all of them.
    """
    ledger = ledger_of(model)
    folder = f"{ledger.model}/scores/"
    names = sorted({key.removeprefix(folder).partition("/")[0] for key in ledger.store.list(folder)})
    timeline = ledger.timeline()
    own = {one: Ledger(ledger.store, one) for one in segment_models(ledger.store, ledger.model)}
    read = at_once(ledger.store, [one.timeline for one in own.values()])
    timelines = {segment_of(one): timeline for one, timeline in zip(own, read, strict=True)}
    rows, others = [], 0
    for name in names:
        interval = window_of(name)
        published = Publication(ledger.store, ledger.model, interval).manifests()
        if not published:
            continue
        newest = published[-1]
        said = [("", timeline, newest.version)]
        said += [(f"segment {one}: ", timelines[one], version) for one, version in newest.segments.items()]
        found = [(whose, each) for whose, of, by in said for each in superseded(of, [(interval, by)])]
        others += bool(found)
        notes = [f"{whose}superseded: the champion as of then is {each.champion or 'nobody'}" for whose, each in found]
        by = newest.version + (f" and {len(newest.segments)} of segments" if newest.segments else "")
        rows.append([newest.after, newest.until, by, f"{newest.rows:,}", str(len(published)), "; ".join(notes)])
    table = draw_table(["after", "until", "version", "rows", "published", ""], rows)
    if not others:
        return table
    return f"{table}\n\n{others} to score again: clear or backfill score_{model} for those dates."

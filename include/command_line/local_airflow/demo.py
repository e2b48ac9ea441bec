"""``make demo``: backfill a model under a real Airflow, and print its ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

from include.command_line.ledger_table import ledger_table
from include.command_line.local_airflow.backfill import Progress, backfill
from include.command_line.local_airflow.demo_stamp import inputs_digest, is_current, write_stamp
from include.command_line.local_airflow.progress import ProgressLine
from include.command_line.local_airflow.standalone import free_port, local_airflow
from include.command_line.local_airflow.task_log import last_errors, log_of
from include.command_line.store import store_of_settings
from include.config.load import load_models
from include.config.model import ModelConfig
from include.config.settings import Settings
from include.errors import ConfigError, did_you_mean
from include.registry.ledger import Ledger
from include.registry.version_states import VersionState


def demo(name: str, *, home: Path, port: int, at_once: int, again: bool, line: ProgressLine) -> bool:
    """Backfill a model's retraining from its schedule's start to its end; tell whether every run succeeded.

    Parameters
    ----------
    name : str
        The model.
    home : Path
        Airflow's folder.
    port : int
        The port to use if it is free.
    at_once : int
        How many runs may be at work at the same time.
    again : bool
        Run it even if nothing changed since it last succeeded.
    line : ProgressLine
        Where progress goes.
    """
    settings = Settings.from_environment()
    model = _declared(name, settings.models)
    ledger = Ledger(store_of_settings(), name)
    inputs, stamp = inputs_digest(settings.models, settings.store), home.parent / f"demo-{name}.json"
    if not again and is_current(stamp, inputs, ledger.entries()):
        line.say("Nothing changed since the last demo; this is what the ledger says:")
        _conclude(ledger, settings, line)
        return True
    stamp.unlink(missing_ok=True)
    dag = f"retrain_{name}"
    start, end = model.schedule.start, model.schedule.end or datetime.now(UTC)
    chosen = free_port(port)
    if chosen != port:
        line.say(f"Port {port} is busy; Airflow gets port {chosen}.")
    line.wait(f"Starting Airflow on http://127.0.0.1:{chosen} (about 20 seconds) ...")
    with local_airflow(home, port=chosen, triggerer=False, paused=dag) as airflow:
        airflow.wait_ready(dag)
        line.say(
            f"Airflow runs {dag} as of {start:%Y-%m-%d} to {end:%Y-%m-%d}, {at_once} at a time; logs: {home / 'logs'}"
        )
        progress = backfill(airflow, dag, start, end, at_once=at_once, show=line.show)
        line.wait("Ending Airflow ...")
    if progress.unsuccessful:
        _explain(progress, dag, home / "logs", line)
    else:
        write_stamp(stamp, inputs, ledger.entries())
    _conclude(ledger, settings, line)
    return not progress.unsuccessful


def _declared(name: str, folder: Path) -> ModelConfig:
    models, broken = load_models(folder, only=name)
    if broken:
        raise broken[0].error
    if not models:
        known = [path.parent.name for path in folder.glob("*/model.yaml")]
        raise ConfigError(
            f"There is no model {name}.",
            expected=", ".join(sorted(known)) or "a folder with a model.yaml",
            where=folder,
            remedy=did_you_mean(name, known, mark=""),
        )
    return models[0]


def _explain(progress: Progress, dag: str, logs: Path, line: ProgressLine) -> None:
    line.say(f"\n{len(progress.unsuccessful)} of {len(progress.runs)} runs failed: {', '.join(progress.unsuccessful)}")
    for task in progress.failed:
        log = log_of(logs, dag, task)
        errors = last_errors(log) or [f"It ended without a word; see {logs / 'components' / 'scheduler.log'}"]
        said = "\n".join(f"    {text}" for text in errors)
        line.say(f"\n  {task.as_of}  task {task.name}, try {task.attempt}:\n{said}\n    log: {log}")


def _conclude(ledger: Ledger, settings: Settings, line: ProgressLine) -> None:
    timeline = ledger.timeline()
    line.say(f"\n{ledger_table(timeline)}\n")
    store = unquote(urlparse(settings.store).path) if settings.store.startswith("file:") else settings.store
    line.say(f"Where to look next:\n  {store}/{ledger.model}  the ledger, the models, the evidence")
    if timeline.champion and (card := _card_of(ledger, timeline[timeline.champion])):
        line.say(f"  {store}/{card}  the champion's model card")
    line.say("  make up  Airflow for people: the graph, the trigger form, every log")


def _card_of(ledger: Ledger, standing: VersionState) -> str | None:
    """Return the key of the card of a version's decision: the one that names both it and its evidence."""
    assert standing.decision is not None  # noqa: S101 (a champion was decided on)
    named = (standing.version.encode(), str(standing.decision.evidence).encode())
    for key in ledger.store.list(f"{ledger.model}/cards/"):
        page = ledger.store.get(key)
        if all(name in page for name in named):
            return key
    return None

"""What a DAG file needs of the declared models while it is parsed: which there are, and their schedules."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    AssetAll,
    AssetAny,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    get_parsing_context,
)

from include.config.load import load_models
from include.config.model import ModelConfig
from include.config.settings import Settings
from include.errors import ConfigError
from ratchet_operators.alarm_asset import alarm_asset
from ratchet_operators.notify import task_callbacks
from ratchet_operators.retries import PERMANENT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from airflow.sdk.bases.timetable import BaseTimetable
    from airflow.sdk.definitions.asset import AssetRef


def declared_models(
    family: str,
    dag_file: str,
    *,
    timed: bool = False,
    monitored: bool = False,
    audited: bool = False,
    tidied: bool = False,
) -> list[ModelConfig]:
    """Return the models to build DAGs ``<family>_<model>`` for; those that can't be used are left out.

    A task parses only its own DAG. Errors of a model are reported by `refuse_broken_models`, in a separate file: Airflow
    disables every DAG of a file with an import error.

    Parameters
    ----------
    family : str
        The first part of the DAG ids.
    dag_file : str
        The DAG file's own ``__file__``: the models are those of its bundle.
    timed : bool
        Leave out tables without event time, which have no rows that mature.
    monitored : bool
        Leave out models without ``schedule.monitor``.
    audited : bool
        Leave out models without ``schedule.audit``.
    tidied : bool
        Leave out models without ``retention``.
    """
    wanted = get_parsing_context().dag_id
    if wanted and not wanted.startswith(f"{family}_"):
        return []
    only = wanted.removeprefix(f"{family}_") if wanted else None
    naming = "monitor" if monitored else "audit" if audited else "retention" if tidied else None
    models = load_models(Settings.from_environment(dag_file=dag_file).models, only=only, naming=naming)[0]
    return [
        model
        for model in models
        if not (timed and model.data.timeless)
        and not (monitored and model.schedule.monitor is None)
        and not (audited and model.schedule.audit is None)
        and not (tidied and not model.is_tidied)
    ]


def declared_promotions(dag_file: str) -> list[tuple[str, ModelConfig, ModelConfig | None]]:
    """Return what may be promoted where: the stage, the model, and its declaration there if that stage's gate decides in this Airflow.

    Nothing is read unless ``RATCHET_STAGES`` names another stage.

    Raises
    ------
    ConfigError
        When two stages and models give one DAG id.
    """
    settings = Settings.from_environment(dag_file=dag_file)
    folders = dict(settings.stage_models)
    found: dict[str, tuple[str, ModelConfig, ModelConfig | None]] = {}
    for stage, url in settings.stages:
        if url.rstrip("/") == settings.store.rstrip("/"):
            continue
        for model in declared_models(f"promote_to_{stage}", dag_file, timed=True):
            if (name := f"promote_to_{stage}_{model.declared_name}") in found:
                raise ConfigError(
                    "Two stages and models give one DAG.",
                    expected="names of stages of which none begins another one that goes on with _",
                    found=f"{name}, of stages {found[name][0]} and {stage}",
                    where="environment variable RATCHET_STAGES",
                )
            there = _declared_there(folders[stage], model) if stage in folders else []
            found[name] = (stage, model, there[0] if there else None)
    return list(found.values())


def _declared_there(folder: Path, model: ModelConfig) -> list[ModelConfig]:
    """Return a model's declaration in another folder, where it may not be renamed yet."""
    names = (model.declared_name, *reversed(model.renamed_from))
    return next((found for name in names if (found := load_models(folder, only=name)[0])), [])


def refuse_broken_models(dag_file: str) -> None:
    """Raise `ConfigError` with what is wrong in any model.yaml of a DAG file's bundle, which Airflow then shows as an import error."""
    if get_parsing_context().dag_id:
        return
    _, broken = load_models(Settings.from_environment(dag_file=dag_file).models)
    if broken:
        raise ConfigError("\n\n".join(str(model.error) for model in broken))


def defaults(model: ModelConfig) -> dict[str, Any]:
    """Return what all tasks of a model's DAGs share: its declaration, how often they are tried, and whom they tell."""
    declared = model.to_json()
    return {
        **task_callbacks(declared),
        "owner": model.owner,
        "model": declared,
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": True,
        "retry_policy": PERMANENT,
    }


def retrain_schedule(model: ModelConfig) -> BaseTimetable | AssetAny | list[AssetRef] | None:
    """Return when a model is retrained: by its schedule, its upstream assets, or requests of monitoring.

    The logical date of a scheduled run is its as-of.
    """
    schedule, upstream = model.schedule, upstream_assets(model.schedule.upstream)
    timetable = _timetable(schedule.retrain_cron, schedule.timezone)
    if model.asks_for_retraining:
        alarm = alarm_asset(model.declared_name)
        woken = AssetAny(AssetAll(*upstream), alarm) if upstream else AssetAny(alarm)
        return AssetOrTimeSchedule(timetable=timetable, assets=woken) if timetable else woken
    if timetable and upstream:
        return AssetOrTimeSchedule(timetable=timetable, assets=AssetAll(*upstream))
    return timetable or upstream or None


def score_schedule(model: ModelConfig) -> CronTriggerTimetable | None:
    """Return the timetable under which a run's logical date is the end of the interval that it scores."""
    return _timetable(model.schedule.score, model.schedule.timezone)


def monitor_schedule(model: ModelConfig) -> CronTriggerTimetable | None:
    """Return the timetable under which a run's logical date is the end of the interval that it watches."""
    return _timetable(model.schedule.monitor, model.schedule.timezone)


def audit_schedule(model: ModelConfig) -> CronTriggerTimetable | None:
    """Return when a part of what a model's ledger names is audited."""
    audits = model.schedule.audits
    return None if audits is None else _timetable(audits.cron, model.schedule.timezone)


def tidy_schedule(model: ModelConfig) -> CronTriggerTimetable | None:
    """Return when what nothing needs any more of a model is looked for."""
    return _timetable(model.retention.cron, model.schedule.timezone)


def upstream_assets(named: Iterable[str]) -> list[AssetRef]:
    """Return the assets that are named by URI or name, from all declarations.

    References find an asset by either; an ``Asset`` made here would be another one if only its name or its URI agreed.
    """
    return [Asset.ref(uri=name) if "://" in name else Asset.ref(name=name) for name in named]


def _timetable(cron: str | None, zone: str) -> CronTriggerTimetable | None:
    return CronTriggerTimetable(cron, timezone=zone) if cron else None

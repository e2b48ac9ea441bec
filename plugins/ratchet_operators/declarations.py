"""What a DAG file needs of the declared models while it is parsed: which there are, their schedule and their form."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    AssetAll,
    AssetAny,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    Param,
    get_parsing_context,
)

from include.config.load import load_models
from include.config.model import ModelConfig
from include.config.names import REBUILD_TOLERANCE
from include.config.settings import Settings
from include.errors import ConfigError
from ratchet_operators.monitor import alarm_asset
from ratchet_operators.notify import task_callbacks
from ratchet_operators.retries import PERMANENT

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    A task parses only its own DAG. What is wrong with a model is said by `refuse_broken_models`, in a file of its own:
    Airflow takes every DAG of a file with an import error out of service.

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
    models = load_models(Settings.from_environment(dag_file=dag_file).models, only=only)[0]
    return [
        model
        for model in models
        if not (timed and model.data.timeless)
        and not (monitored and model.schedule.monitor is None)
        and not (audited and model.schedule.audit is None)
        and not (tidied and not model.is_tidied)
    ]


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
    """Return when a model is retrained: on time, so that a run's logical date is the instant that it stands at, by its upstream assets, or when watching asks."""
    schedule, upstream = model.schedule, upstream_assets(model.schedule.upstream)
    timetable = _timetable(schedule.retrain_cron, schedule.timezone)
    if model.asks_for_retraining:
        alarm = alarm_asset(model.name)
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


def upstream_assets(named: Iterable[str]) -> list[AssetRef]:
    """Return the assets that are named by URI or name, whoever declares them.

    References find an asset by either; an ``Asset`` made here would be another one if only its name or its URI agreed.
    """
    return [Asset.ref(uri=name) if "://" in name else Asset.ref(name=name) for name in named]


def _timetable(cron: str | None, zone: str) -> CronTriggerTimetable | None:
    return CronTriggerTimetable(cron, timezone=zone) if cron else None


def form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's retraining; valid as it opens."""
    names = model.candidate_names
    return {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="The instant to stand at: only rows that had happened, with labels that were due, by then are used. "
            f"{_stands(model)}{_no_backfill('retrain', model.schedule.retrain_cron)}",
            section="What to train",
        ),
        "candidates": Param(
            names,
            type="array",
            items={"type": "string", "enum": names},
            minItems=1,
            examples=names,
            title="Candidates",
            description="Which recipes compete. The baselines always run.",
            section="What to train",
        ),
        "mode": Param(
            "enforce",
            type="string",
            enum=["enforce", "dry_run"],
            values_display={
                "enforce": "Enforce: decide and put it on record",
                "dry_run": "Dry run: only say what would be decided",
            },
            title="Gate",
            section="What to do with it",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="Goes into the ledger beside your name.",
            section="What to do with it",
        ),
    }


def score_form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's batch predictions; valid as it opens."""
    scored = "The newest interval that is over by then is scored, with the champion as of its start."
    if model.data.timeless:
        scored = "The table is scored as it is found now, with the champion as of then."
    return {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description=f"{scored} {_stands(model)}{_no_backfill('score', model.schedule.score)}",
            section="What to score",
        )
    }


def monitor_form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's watching; valid as it opens."""
    return {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="The newest interval that is over by then is watched, and what has matured by its end is measured. "
            f"{_stands(model)}",
            section="What to watch",
        )
    }


def _no_backfill(schedule: str, cron: str | None) -> str:
    """Say why Airflow's dialog offers no backfill, where it does not."""
    return "" if cron else f" Backfill is grey: without `schedule.{schedule}` there are no dates to run again."


def audit_form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's audit; valid as it opens."""
    audits = model.schedule.audits
    return {
        "calls": Param(
            None,
            type=["null", "integer"],
            minimum=100,
            title="Calls of the store",
            description=f"How much this run may cost. Empty: {audits.calls if audits else 0:,}, as declared. It goes on where the last run ended.",
            section="How much to look at",
        )
    }


def tidy_schedule(model: ModelConfig) -> CronTriggerTimetable | None:
    """Return when what nothing needs any more of a model is looked for."""
    return _timetable(model.retention.cron, model.schedule.timezone)


def tidy_form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's tidying; valid as it opens."""
    return {
        "remove": Param(
            model.retention.remove,
            type="boolean",
            title="Remove",
            description="Mark what nothing needs, and remove what was marked longer ago than the grace period. Off: say what would be removed.",
            section="What to do",
        )
    }


def rollback_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a rollback; it can be sent once a reason is typed."""
    return {
        "version": _version("Taken out of force for good. Empty: the champion."),
        "reason": Param(
            type="string",
            minLength=3,
            maxLength=500,
            title="Reason",
            description="Goes into the ledger beside your name; it can't be changed later.",
            section="Why",
        ),
    }


def reconsider_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a second look at a held version; valid as it opens."""
    fields = form(model)
    as_of = fields["as_of"].dump()
    as_of["schema"] |= {
        "description": f"The instant to stand at: every row whose label was known by then counts. {_stands(model)}",
        "section": "Which version",
    }
    return {
        "version": _version("Judged again by all rows that have matured since. Empty: the newest that is held."),
        "as_of": Param(None, **as_of["schema"]),
        "reason": fields["reason"],
    }


def reproduce_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a reproduction; valid as it opens."""
    return {
        "version": _version("Trained again from its record and compared. Empty: the champion."),
        "rebuild": Param(
            False,
            type="boolean",
            title="Rebuild",
            description="After an upgrade of libraries: put the version that is trained again under the new libraries in force "
            "in place of the old one, if both predict the same.",
            section="After an upgrade of libraries",
        ),
        "tolerance": Param(
            REBUILD_TOLERANCE,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            title="Tolerance",
            description="With Rebuild: how far predictions may differ. A probability by this much; a value by this much times "
            "the standard deviation of the target.",
            section="After an upgrade of libraries",
        ),
    }


def _stands(model: ModelConfig) -> str:
    """Say where a run stands whose *As of* is empty; the rule itself is `ratchet_operators.operator.stand`."""
    end = model.schedule.end
    without = "now" if end is None else f"{end:%Y-%m-%d %H:%M} UTC, where the model's schedule ends, or now before that"
    return (
        f"Empty: the run's logical date; without one {without}. A scheduled run and a backfill stand at their own date."
    )


def _version(description: str) -> Param:
    # Free text: which versions there are is in the store, and parsing reads nothing but YAML. The task offers the nearest.
    return Param(
        None,
        type=["null", "string"],
        maxLength=100,
        title="Version",
        description=f"{description} Such as 20130901T000000Z-0123456789; the Models page and the log list them.",
        section="Which version",
    )

"""What a DAG file needs of the declared models while it is parsed: which there are, their schedule and their form."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_parsing_context

from include.config.load import BrokenModel, load_models
from include.config.model import ModelConfig
from include.config.settings import Settings


def declared_models(family: str, *, module: dict[str, Any]) -> list[ModelConfig]:
    """Return the models to build DAGs ``<family>_<model>`` for.

    A task parses only its own DAG. Models that can't be used become one import error of the DAG file, which says what to
    mend, while the others load.

    Parameters
    ----------
    family : str
        The first part of the DAG ids.
    module : dict
        The DAG file's ``globals()``, where Airflow finds what can't be loaded.
    """
    wanted = get_parsing_context().dag_id
    only = wanted.removeprefix(f"{family}_") if wanted and wanted.startswith(f"{family}_") else None
    models, broken = load_models(Settings.from_environment().models, only=only)
    if broken:
        module["models_that_need_a_look"] = _Broken(broken)
    return models


def retrain_schedule(model: ModelConfig) -> CronTriggerTimetable | None:
    """Return the timetable under which a run's logical date is the instant that it stands at."""
    cron = model.schedule.retrain
    return CronTriggerTimetable(cron, timezone="UTC") if cron else None


def form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's retraining; valid as it opens."""
    end = model.schedule.end
    names = model.candidate_names
    return {
        "as_of": Param(
            end.isoformat() if end else None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="The instant to stand at: nothing that was not known then is used. Empty: now. "
            "A scheduled run and a backfill stand at their own date.",
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
            values_display={"enforce": "Enforce: decide and put it on record", "dry_run": "Dry run: only say what would be decided"},
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


class _Broken(DAG):
    """Stands in the DAG file for models that can't be used; Airflow shows its refusal as an import error."""

    def __init__(self, broken: list[BrokenModel]) -> None:
        super().__init__("models_that_need_a_look", schedule=None)
        self._message = "\n\n".join(str(model.error) for model in broken)

    def validate(self) -> NoReturn:
        """Refuse, with what is wrong in each file."""
        from include.errors import ConfigError

        raise ConfigError(self._message)

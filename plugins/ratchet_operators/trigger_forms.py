"""The trigger forms of a model's DAGs."""

from __future__ import annotations

from airflow.sdk import Param

from include.config.model import ModelConfig
from include.config.names import REBUILD_TOLERANCE


def form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's retraining; valid as it opens."""
    names = model.candidate_names
    return {
        "as_of": _as_of(
            "The as-of: only rows that had happened by then, and whose labels were due by then, are used. "
            f"{_stands(model)}{_no_backfill('retrain', model.schedule.retrain_cron)}",
            "What to train",
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
                "enforce": "Enforce: decide and record the decision",
                "dry_run": "Dry run: only show what would be decided",
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
    scored = "The newest interval that has ended by then is scored, with the champion as of its start."
    if model.data.timeless:
        scored = "The current table is scored, with the champion as of then."
    return {"as_of": _as_of(f"{scored} {_stands(model)}{_no_backfill('score', model.schedule.score)}", "What to score")}


def monitor_form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's watching; valid as it opens."""
    return {
        "as_of": _as_of(
            "The newest interval that has ended by then is monitored, and rows whose labels have matured by its end are measured. "
            f"{_stands(model)}",
            "What to watch",
        )
    }


def _no_backfill(schedule: str, cron: str | None) -> str:
    """Explain why Airflow's dialog offers no backfill, where it offers none."""
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
            description=f"How much this run may cost. Empty: {audits.calls if audits else 0:,}, as declared. It continues where the last run ended.",
            section="How much to look at",
        )
    }


def tidy_form(model: ModelConfig) -> dict[str, Param]:
    """Return the trigger form of a model's tidying; valid as it opens."""
    return {
        "remove": Param(
            model.retention.remove,
            type="boolean",
            title="Remove",
            description="Mark objects that nothing needs, and remove marked objects whose grace period is over. Off: only report what would be removed.",
            section="What to do",
        )
    }


def rollback_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a rollback; it can be sent once a reason is typed."""
    segment = (
        Param(
            None,
            type=["null", "string"],
            title="Segment",
            description=f"A level of `{model.segments.column}`, if the version of that segment is meant. Empty: the model of all rows.",
        )
        if model.segments
        else None
    )
    return {
        "version": _version("Taken out of force for good. Empty: the champion."),
        **({} if segment is None else {"segment": segment}),
        "reason": _reason("Goes into the ledger beside your name; it can't be changed later."),
    }


def retract_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a retraction; it can be sent once partition, reading and reason are typed."""
    return {
        "partition": Param(
            type="string",
            pattern=r"^\s*\d{4}-\d{2}[-T\d]*\s*$",
            title="Partition",
            description=f"The {model.data.partition} of the rows, such as 2026-03 of months.",
            section="Which reading",
        ),
        "reading": Param(
            type="string",
            pattern="^\\s*[0-9a-f]{6,64}\\s*$",
            title="Reading",
            description="The digest of its rows or the beginning of it, as `python -m include readings` lists it, or as the snapshot of a version on its page names it.",
            section="Which reading",
        ),
        "restore": Param(
            False,
            type="boolean",
            title="Restore",
            description="Put a retracted reading back in force.",
            section="Which reading",
        ),
        "reason": _reason("Goes on record beside your name; it can't be changed later."),
    }


def _reason(description: str) -> Param:
    return Param(type="string", minLength=3, maxLength=500, title="Reason", description=description, section="Why")


def reconsider_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a second look at a held version; valid as it opens."""
    return {
        "version": _version(
            "The version to evaluate again, on all rows that have matured since. Empty: the newest held version."
        ),
        "as_of": _as_of(
            f"The as-of: every row whose label was known by then counts. {_stands(model)}",
            "Which version",
        ),
        "reason": form(model)["reason"],
    }


def promote_form(model: ModelConfig, *, judged: bool) -> dict[str, Param]:
    """Return the form of a promotion to another stage; valid as it opens.

    Parameters
    ----------
    judged : bool
        Whether that stage's gate decides in the same run, as of an instant.
    """
    fields = reconsider_form(model)
    version = _version("The version to send, or an alias of it. Empty: the champion.")
    named = {"as_of": fields["as_of"]} if judged else {}
    return {"version": version, **named, "reason": fields["reason"]}


def reproduce_form(model: ModelConfig) -> dict[str, Param]:
    """Return the form of a reproduction; valid as it opens."""
    return {
        "version": _version("The version to train again from its record and compare. Empty: the champion."),
        "rebuild": Param(
            False,
            type="boolean",
            title="Rebuild",
            description="After an upgrade of libraries: put the version that is trained again with the new libraries in force "
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
    """Describe the as-of of a run whose *As of* is empty; the rule is in `ratchet_operators.run_instants.stand`."""
    end = model.schedule.end
    without = "now" if end is None else f"{end:%Y-%m-%d %H:%M} UTC, where the model's schedule ends, or now before that"
    return f"Empty: the run's logical date; without one {without}. Scheduled runs and backfills use their own date."


def _as_of(description: str, section: str) -> Param:
    return Param(
        None, type=["null", "string"], format="date-time", title="As of", description=description, section=section
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

"""What a model.yaml would change before it is deployed."""

from __future__ import annotations

from pathlib import Path

from include.command_line.ledger_table import draw_table
from include.command_line.store import store_of_settings
from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.settings import ROOT
from include.registry.history.policy_replay import replay
from include.registry.history.version_differences import VersionDifference, differences_between
from include.registry.ledger import Ledger
from include.registry.version_states import Trigger

_FOLLOWS = {
    "schedule": "Airflow makes runs at other dates from its next look at the file on; runs that were made stay.",
    "data.source": "The source is another one by its digest: its partitions are read anew, beside the old ones.",
    "data.joins": "Rows get other columns of second sources: new snapshots, so new versions. Versions in force read the columns that they were fitted with by name.",
    "data": "Runs use other rows: new snapshots, so new versions.",
    "quality": "Rows are held against other expectations, so that other ones may be set aside or refused.",
    "features": "Models are fitted otherwise: new versions, also where a date is run again.",
    "training": "Models are fitted otherwise: new versions, also where a date is run again.",
    "evaluation": "Evidence is measured anew, also for versions that were measured before.",
    "gate": "The policy has another digest. Backfilled decisions are made again when their dates are run again; live ones stay.",
    "notify": "Other people are told.",
    "resources": "Tasks run elsewhere, or with other limits; nothing that they make changes.",
    "name": "It is another model, with DAGs, ledger and partitions of its own; those of the old name stay as they are.",
    "renamed_from": "It is the same model under another name: its history goes on. DAGs, assets and pages have the new name.",
    "task": "It is another kind of model: no version so far can be compared with those to come.",
}


def plan(path: Path, against: Path | None) -> str:
    """Say what a model.yaml would change: in DAGs, versions, evidence and policy.

    Parameters
    ----------
    path : Path
        The file as it would be.
    against : Path, optional
        The file as it is; what the newest decision on record was made with, if left out.
    """
    new = load_model(path)
    ledger = Ledger(store_of_settings(), new.name)
    old = load_model(against) if against else _on_record(ledger)
    if old is None:
        return f"{new.declared_name} is new here: no decision is on record.\n\n" + _dags(new, None)
    changed = differences_between(old, new)
    if not changed:
        return "Nothing changes."
    rows = [[one.name, one.one or "-", one.other or "-"] for one in changed]
    parts = [draw_table(["field", "now", "then"], rows), *_follows(changed)]
    parts += [text for text in (_dags(new, old), _asked(new, old)) if text]
    if old.gate != new.gate and ledger.entries():
        parts.append(_replayed(ledger, new))
    return "\n\n".join(parts)


def _on_record(ledger: Ledger) -> ModelConfig | None:
    decided = [entry for entry in ledger.entries() if entry.kind == "decided"]
    return ledger.config(decided[-1].body["config"]) if decided else None


def _follows(changed: tuple[VersionDifference, ...]) -> list[str]:
    found = []
    renamed = any(one.name.startswith("renamed_from") for one in changed)
    for prefix, sentence in _FOLLOWS.items():
        if prefix == "name" and renamed:
            continue
        if any(one.name == prefix or one.name.startswith((f"{prefix}.", f"{prefix}[")) for one in changed):
            found.append(f"{prefix}: {sentence}")
    return found


def _dags(new: ModelConfig, old: ModelConfig | None) -> str:
    """Say which DAGs come and how they are scheduled, as far as that is new."""
    dags = _schedules(new)
    if old is not None and (_schedules(old), old.candidate_names) == (dags, new.candidate_names):
        return ""
    rows = [[dag, schedule or "by hand"] for dag, schedule in dags.items()]
    trained = f"train has {len(new.candidate_names)} candidates beside the baselines: {', '.join(new.candidate_names)}"
    return f"{draw_table(['DAG', 'schedule'], rows)}\n\n{trained}"


def _schedules(model: ModelConfig) -> dict[str, str | None]:
    """Return the DAGs that a model has in this Airflow, with what starts each by itself; those of stages come with ``RATCHET_STAGES``."""
    schedule = model.schedule
    upstream = f"when {' and '.join(schedule.upstream)} changed" if schedule.upstream else None
    named = {
        "retrain": " or ".join(filter(None, [schedule.retrain_cron, upstream])),
        "score": schedule.score,
        "monitor": schedule.monitor,
        "audit": None if schedule.audits is None else schedule.audits.cron,
        "tidy": model.retention.cron,
    }
    absent = {"declarations", "promote"}
    absent |= {name for name in ("monitor", "audit") if named[name] is None}
    absent |= {"tidy"} if not model.is_tidied else set()
    absent |= {"reconsider"} if model.data.timeless else set()
    families = sorted({path.stem for path in (ROOT / "dags").glob("*.py")} - absent)
    return {f"{family}_{model.declared_name}": named.get(family) for family in families}


def _asked(new: ModelConfig, old: ModelConfig) -> str:
    """Say whom the policy has decide, if that changes."""
    policy = new.gate.approval
    if policy == old.gate.approval:
        return ""
    if policy.when == "never":
        return "gate.approval: nobody is asked any more; the gate alone decides."
    asked = ["that the gate holds", *(["that it would promote"] if policy.when == "always" else [])]
    asked += ["that it rejects or can't compare"] if policy.override else []
    who = ", ".join(policy.by) or "everyone who may edit the DAG"
    backfills = "also in a backfill" if policy.backfills else "but not in a backfill"
    return f"gate.approval: {who} is asked about challengers {' and '.join(asked)}, {backfills}, and has {policy.within} to answer."


def _replayed(ledger: Ledger, new: ModelConfig) -> str:
    found = replay(ledger, new.gate)
    rows = [
        [one.version, one.recorded, one.outcome or "unknown", one.reason]
        for one in found
        if one.differs or one.outcome is None
    ]
    backfilled = sum(standing.trigger is Trigger.BACKFILL for standing in ledger.timeline().standings)
    head = f"Under the new gate {sum(one.differs for one in found)} of {len(found)} decisions would be others ({backfilled} versions are backfilled)."
    return f"{head}\n\n{draw_table(['version', 'recorded', 'then', 'reason'], rows)}" if rows else head

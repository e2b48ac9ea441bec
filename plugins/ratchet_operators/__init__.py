"""Ratchet's Airflow operators: one for each step of a run; each calls a function of ``include``."""

from ratchet_operators.approve import Approve
from ratchet_operators.audit import Audit
from ratchet_operators.check import Check
from ratchet_operators.dag_arguments import dag_arguments
from ratchet_operators.declarations import (
    audit_schedule,
    declared_models,
    declared_promotions,
    defaults,
    monitor_schedule,
    refuse_broken_models,
    retrain_schedule,
    score_schedule,
    tidy_schedule,
)
from ratchet_operators.deliver import Deliver, delivered_asset
from ratchet_operators.evaluate import Evaluate
from ratchet_operators.gate import Gate
from ratchet_operators.ingest import Ingest
from ratchet_operators.mirror import add_mirror
from ratchet_operators.monitor import Monitor, ReconsiderMatured
from ratchet_operators.promote import KeepChampion, Promote
from ratchet_operators.reconsider import DecideAgain, Reconsider
from ratchet_operators.reproduce import Reproduce
from ratchet_operators.resources import assign_resources
from ratchet_operators.retract import Retract
from ratchet_operators.score import IngestInterval, Score
from ratchet_operators.segments import ListSegments, RetrainSegment
from ratchet_operators.select import Select
from ratchet_operators.send import Send
from ratchet_operators.settle import Settle
from ratchet_operators.tidy import Tidy
from ratchet_operators.train import Train
from ratchet_operators.trigger_forms import (
    audit_form,
    form,
    monitor_form,
    promote_form,
    reconsider_form,
    reproduce_form,
    retract_form,
    rollback_form,
    score_form,
    tidy_form,
)
from ratchet_operators.withdraw import Withdraw

__all__ = [
    "Approve",
    "Audit",
    "Check",
    "DecideAgain",
    "Deliver",
    "Evaluate",
    "Gate",
    "Ingest",
    "IngestInterval",
    "KeepChampion",
    "ListSegments",
    "Monitor",
    "Promote",
    "Reconsider",
    "ReconsiderMatured",
    "Reproduce",
    "Retract",
    "RetrainSegment",
    "Score",
    "Select",
    "Send",
    "Settle",
    "Tidy",
    "Train",
    "Withdraw",
    "add_mirror",
    "assign_resources",
    "audit_form",
    "audit_schedule",
    "dag_arguments",
    "declared_models",
    "declared_promotions",
    "defaults",
    "delivered_asset",
    "form",
    "monitor_form",
    "monitor_schedule",
    "promote_form",
    "reconsider_form",
    "refuse_broken_models",
    "reproduce_form",
    "retract_form",
    "retrain_schedule",
    "rollback_form",
    "score_form",
    "score_schedule",
    "tidy_form",
    "tidy_schedule",
]

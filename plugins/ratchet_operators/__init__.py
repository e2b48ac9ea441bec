"""Ratchet's operators: one a word of the chain, each a thin shell around a function of ``include``."""

from ratchet_operators.check import Check
from ratchet_operators.declared import declared_models, form, retrain_schedule
from ratchet_operators.evaluate import Evaluate
from ratchet_operators.gate import Gate
from ratchet_operators.ingest import Ingest
from ratchet_operators.promote import KeepChampion, Promote
from ratchet_operators.select import Select
from ratchet_operators.settle import Settle
from ratchet_operators.train import Train

__all__ = [
    "Check",
    "Evaluate",
    "Gate",
    "Ingest",
    "KeepChampion",
    "Promote",
    "Select",
    "Settle",
    "Train",
    "declared_models",
    "form",
    "retrain_schedule",
]

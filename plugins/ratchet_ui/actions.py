"""Actions: the DAGs that can be triggered from a page, as buttons for a viewer who may trigger them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from include.config.settings import Settings
from include.registry.history.summary import VersionSummary
from ratchet_ui.access import Viewer


@dataclass(frozen=True)
class Action:
    """A DAG that can be triggered from a page, by the first part of its id."""

    family: str
    label: str
    help: str


ON_MODELS = (
    Action("retrain", "Retrain", "Train and evaluate a challenger as of a date of your choice."),
    Action("score", "Score", "Predict with the champion in force at a date."),
)
ROLL_BACK = Action("rollback", "Roll back", "Withdraw this version; the champion before it is back in force.")
QUARANTINE = Action("rollback", "Quarantine", "Withdraw this version for good, so that it can never come into force.")
REPRODUCE = Action("reproduce", "Reproduce", "Train this version again from its recorded inputs and compare the bytes.")
_PROMOTE = "Send this version to the stage as it is; that stage's own gate decides on it."


def on_version(summary: VersionSummary) -> tuple[Action, ...]:
    """Return what can be done with a version: one that was never promoted can't be rolled back or sent on, a withdrawn one is."""
    if summary.standing.withdrawn is not None:
        return (REPRODUCE,)
    if not summary.standing.in_line:
        return (QUARANTINE, REPRODUCE)
    stages = [name for name, _ in Settings.from_environment().stages]
    return (ROLL_BACK, REPRODUCE, *(Action(f"promote_to_{name}", f"Promote to {name}", _PROMOTE) for name in stages))


@dataclass(frozen=True)
class Button:
    """An action that this viewer may take here."""

    action: Action
    dag: str
    conf: str
    """JSON of the form's fields that the page knows already."""


def buttons_for(viewer: Viewer, actions: tuple[Action, ...], model: str, given: dict[str, str]) -> list[Button]:
    """Return the actions that a viewer may take, as buttons of a page.

    Parameters
    ----------
    actions : tuple of Action
        The actions that the page offers.
    model : str
        Name of the model; with the action's family it names the DAG.
    given : dict of str to str
        Values that the trigger form is filled with.
    """
    dags = [(action, f"{action.family}_{model}") for action in actions]
    return [Button(action, dag, json.dumps(given)) for action, dag in dags if viewer.may_trigger(dag)]

"""Airflow's core is no public interface: one module takes what Ratchet needs of it, and that is held to how it is used."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager

from include.config.settings import ROOT
from ratchet_ui import access

ADAPTER = ROOT / "plugins" / "ratchet_ui" / "access.py"
PUBLIC = ("airflow.sdk", "airflow.providers", "airflow.listeners", "airflow.plugins_manager", "airflow.executors")
FILES = sorted(path for folder in ("dags", "include", "plugins") for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return what a file imports of Airflow, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] == "airflow"}


def is_public(name: str) -> bool:
    """Tell whether a name is of Airflow's public interface: no part of it begins with an underscore either."""
    return f"{name}.".startswith(tuple(f"{room}." for room in PUBLIC)) and "._" not in name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_adapter_imports_what_is_private_to_airflows_core(path: Path) -> None:
    private = {name for name in imported(path) if not is_public(name)}
    assert path == ADAPTER or not private


def test_the_adapters_imports_are_those_that_are_held_here() -> None:
    private = {name.rpartition(".")[2] for name in imported(ADAPTER) if not is_public(name)}
    assert private == {
        *("get_auth_manager", "AccessView", "DagAccessEntity", "DagDetails", "GetUserDep", "get_user", "DagModel"),
    }


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("get_authorized_dag_ids", {"user": None, "method": "GET"}),
        ("is_authorized_dag", {"method": "POST", "access_entity": None, "details": None, "user": None}),
        ("is_authorized_view", {"access_view": None, "user": None}),
    ],
)
def test_the_auth_manager_is_asked_as_airflow_has_it(method: str, asked: dict[str, object]) -> None:
    # Whatever auth manager a deployment has: what the base class takes, by these names.
    inspect.signature(getattr(BaseAuthManager, method)).bind(None, **asked)


def test_what_is_named_is_there() -> None:
    assert access.AccessView.IMPORT_ERRORS and access.DagAccessEntity.RUN
    assert access.DagDetails(id="retrain_x", team_name=None).id == "retrain_x"
    assert next(iter(inspect.signature(access.DagModel.get_team_name).parameters)) == "dag_id"
    assert "user" in inspect.signature(access.Viewer.__init__).parameters

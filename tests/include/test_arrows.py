"""Arrows point one way: each room imports only rooms before it, and nothing in include/ knows Airflow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from include.config.settings import ROOT

ROOMS = [
    "errors",
    "templates",
    "storage",
    "config",
    "data",
    "training",
    "leaks",
    "evaluation",
    "registry",
    "scoring",
    "monitoring",
    "notebook",
    "serving",
    "reproduction",
    "drafting",
    "command_line",
]
FILES = sorted((ROOT / "include").rglob("*.py"))


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_knows_only_the_rooms_before_it(path):
    room = path.relative_to(ROOT / "include").parts[0].removesuffix(".py")
    if room in ("models", "__main__"):
        return
    before = ROOMS[: ROOMS.index(room) + 1]
    used = {name.split(".")[1] for name in imports(path) if name.startswith("include.")}
    assert used <= set(before), f"{room} may not know {sorted(used - set(before))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_include_imports_airflow_or_plugins(path):
    assert not {name for name in imports(path) if name.split(".")[0] in ("airflow", "ratchet_operators", "ratchet_ui")}

"""Arrows point one way: each room imports only rooms before it, and nothing in include/ knows Airflow."""

from __future__ import annotations

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from include.config.settings import ROOT

ROOMS = [
    "errors",
    "templates",
    "storage",
    "config",
    "signing",
    "data",
    "training",
    "leakage",
    "evaluation",
    "registry",
    "scoring",
    "audit",
    "mirror",
    "stages",
    "segments",
    "monitoring",
    "retention",
    "notebook",
    "serving",
    "reproduction",
    "drafting",
    "command_line",
]
FILES = sorted((ROOT / "include").rglob("*.py"))
PACKAGES = sorted(path.parent for path in (ROOT / "include").rglob("__init__.py") if "models" not in path.parts)
MOST_MODULES = 14


@functools.cache
def imports(path: Path, *, types: bool = True) -> set[str]:
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    if not types:
        tree.body = [
            one for one in tree.body if not (isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING")
        ]
    for node in ast.walk(tree):
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


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def public(package: Path) -> set[str]:
    tree = ast.parse((package / "__init__.py").read_text())
    (names,) = (
        node.value for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PUBLIC"
    )
    return {f"{dotted(package)}.{name}" for name in ast.literal_eval(names)}


@functools.cache
def used_from_outside() -> dict[str, set[str]]:
    """Return the modules of packages that files of other rooms and of plugins/ import, with those files."""
    modules, found = {dotted(path) for path in FILES}, {}
    for path in [*FILES, *(ROOT / "plugins").rglob("*.py")]:
        room = path.relative_to(ROOT).parts[:2]
        for name in imports(path) & modules:
            if tuple(name.split(".")[:2]) != room and ROOT.joinpath(*name.split(".")).with_suffix(".py").exists():
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_other_rooms_import_the_public_modules_of_a_package_and_no_others(package):
    modules = {dotted(path) for path in package.glob("*.py") if path.stem != "__init__"}
    used = {name: by for name, by in used_from_outside().items() if name in modules}
    assert set(used) - public(package) == set(), "import a module of `PUBLIC`, or add this one to it"
    assert public(package) <= modules, "`PUBLIC` names modules that are not there"
    assert public(package) <= set(used), "`PUBLIC` names modules that no other room imports"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_is_small_and_says_what_belongs_elsewhere(package):
    assert len([path for path in package.glob("*.py") if path.stem != "__init__"]) <= MOST_MODULES
    assert "Not here:" in (ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or "")


@pytest.mark.parametrize("room", sorted({path.relative_to(ROOT / "include").parts[0] for path in PACKAGES}))
def test_the_modules_of_a_room_import_each_other_in_no_circle_when_they_run(room):
    graph = {
        dotted(path): imports(path, types=False)
        for path in (ROOT / "include" / room).rglob("*.py")
        if path.stem != "__init__"
    }
    list(TopologicalSorter({name: used & set(graph) for name, used in graph.items()}).static_order())

"""How the tree keeps its own rules: long modules, large packages, and public functions whose docstrings leave something out.

Run: ``python -m benchmarks.house``. It ends with 1 if something is found that `EXCEPTIONS` does not excuse.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from include.config.settings import ROOT

MOST_LINES = 250
MOST_MODULES = 14
LONG_SIGNATURE = 3
"""Parameters from which on a public function describes them in a section of its own."""
LONG_METHOD = 5
"""The same of a public method, whose class says what its methods share."""

EXCEPTIONS: dict[str, str] = {
    "include/config/names.py": "tables of names and their facts, one line each",
    "include/config/sections/evaluation.py": "the options of one section of model.yaml, with their texts",
    "include/config/sections/training.py": "the options of one section of model.yaml, with their texts",
    "include/training/estimators/registry.py": "the table of estimators with their search spaces",
    "include/training/metrics/definitions.py": "the table of metrics, one definition each",
    "plugins/ratchet_operators": "one module an operator, as in Airflow's providers",
}
"""What may stay as it is, with the reason."""

LONGER: dict[str, tuple[int, str]] = {
    "include/audit/offline_check.py": (
        390,
        "an audit pack brings this one file as its verifier, so it imports nothing of ours",
    ),
    "include/registry/ledger.py": (350, "one class: every operation that may write the log, so that nothing else does"),
    "include/serving/protocol/open_inference.py": (265, "one protocol, reading and writing: under 200 lines are code"),
    "include/signing/heads.py": (270, "one class with its threats in docstrings: 164 lines are code"),
    "include/storage/tombstones.py": (265, "one log of what was removed, with its proof"),
    "include/training/recipe.py": (
        305,
        "one dataclass: what a fit is made of, and the key and columns that follow from it",
    ),
    "include/mirror/registered_model.py": (270, "one registered model of a server that others write to as well"),
}
"""Modules that are longer than `MOST_LINES`, how long each may be, and why it is one module."""


def modules() -> Iterator[Path]:
    """Yield the product's Python files."""
    for folder in ("dags", "plugins", "include"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "models" not in path.relative_to(ROOT).parts[:2]:
                yield path


def long_modules() -> Iterator[tuple[str, str]]:
    """Yield modules with too many lines; those of `LONGER` with more than it gives them."""
    for path in modules():
        name = str(path.relative_to(ROOT))
        lines = len(path.read_text().splitlines())
        most = LONGER.get(name, (MOST_LINES, ""))[0]
        if lines > most:
            yield name, f"{lines} lines, {most} are allowed"


def large_packages() -> Iterator[tuple[str, str]]:
    """Yield folders with too many modules."""
    for folder in sorted({path.parent for path in modules()}):
        count = sum(1 for path in folder.glob("*.py") if path.stem != "__init__")
        if count > MOST_MODULES:
            yield str(folder.relative_to(ROOT)), f"{count} modules"


def undescribed() -> Iterator[tuple[str, str]]:
    """Yield public functions and methods without a docstring, or with several parameters and no section on them."""
    for path in modules():
        tree = ast.parse(path.read_text())
        for name, node, most in _public(tree):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [one.arg for one in arguments if one.arg not in ("self", "cls")]
            text = ast.get_docstring(node) or ""
            # A command's options and a route's parameters say what they are where they are declared.
            declared = any(re.search(r"command|\.(get|post)\(", ast.unparse(one)) for one in node.decorator_list)
            where = f"{path.relative_to(ROOT)}:{name}"
            if not text:
                yield where, "no docstring"
            elif len(parameters) > most and not declared and not re.search(r"^Parameters\n-+$", text, re.MULTILINE):
                yield where, f"{len(parameters)} parameters, none described"


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef, int]]:
    """Yield public functions, and public methods of public classes, with how many parameters may go undescribed."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node, LONG_SIGNATURE
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method, LONG_METHOD


def main() -> None:
    """Print what is found, and what is excused."""
    left = 0
    sys.stdout.write("Longer modules, with the reason:\n")
    for name, (most, why) in LONGER.items():
        sys.stdout.write(f"  {name}: up to {most} lines ({why})\n")
    for title, found in (
        (f"Modules of more lines than {MOST_LINES}, or than they are given", long_modules()),
        (f"Packages of more than {MOST_MODULES} modules", large_packages()),
        ("Public functions whose docstrings leave something out", undescribed()),
    ):
        sys.stdout.write(f"{title}:\n")
        for name, what in found:
            reason = EXCEPTIONS.get(name)
            left += reason is None
            sys.stdout.write(f"  {name}: {what}" + (f" ({reason})" if reason else "") + "\n")
    sys.exit(left > 0)


if __name__ == "__main__":
    main()

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

EXCEPTIONS: dict[str, str] = {
    "include/config/names.py": "tables of names and their facts, one line each",
    "include/config/sections/evaluation.py": "the options of one section of model.yaml, with their texts",
    "include/config/sections/training.py": "the options of one section of model.yaml, with their texts",
    "include/training/estimators/registry.py": "most of it is the table of estimators with their search spaces",
    "include/training/metrics/definitions.py": "the table of metrics, one definition each",
    "plugins/ratchet_operators": "one module an operator, as in Airflow's providers",
}
"""What may stay as it is, with the reason."""


def modules() -> Iterator[Path]:
    """Yield the product's Python files."""
    for folder in ("dags", "plugins", "include"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "models" not in path.relative_to(ROOT).parts[:2]:
                yield path


def long_modules() -> Iterator[tuple[str, str]]:
    """Yield modules with too many lines."""
    for path in modules():
        lines = len(path.read_text().splitlines())
        if lines > MOST_LINES:
            yield str(path.relative_to(ROOT)), f"{lines} lines"


def large_packages() -> Iterator[tuple[str, str]]:
    """Yield folders with too many modules."""
    for folder in sorted({path.parent for path in modules()}):
        count = sum(1 for path in folder.glob("*.py") if path.stem != "__init__")
        if count > MOST_MODULES:
            yield str(folder.relative_to(ROOT)), f"{count} modules"


def undescribed() -> Iterator[tuple[str, str]]:
    """Yield public functions without a docstring, or with several parameters and no section on them."""
    for path in modules():
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            parameters = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            text = ast.get_docstring(node) or ""
            # A command's options and a route's parameters say what they are where they are declared.
            declared = any(re.search(r"command|\.(get|post)\(", ast.unparse(one)) for one in node.decorator_list)
            name = f"{path.relative_to(ROOT)}:{node.name}"
            if not text:
                yield name, "no docstring"
            elif (
                len(parameters) > LONG_SIGNATURE
                and not declared
                and not re.search(r"^Parameters\n-+$", text, re.MULTILINE)
            ):
                yield name, f"{len(parameters)} parameters, none described"


def main() -> None:
    """Print what is found, and what is excused."""
    left = 0
    for title, found in (
        (f"Modules of more than {MOST_LINES} lines", long_modules()),
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

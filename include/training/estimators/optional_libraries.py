"""Optional libraries of estimators: their packages, and the error for a missing one."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from include.errors import ConfigError

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost-cpu", "xgboost"),
    "catboost": ("catboost",),
    "keras": ("keras",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
}
"""The packages that bring each library."""
_EXTRAS = {"keras": "keras", "tensorflow": "keras"}
"""The extras of libraries that are not in `learners`."""


def library_version(library: str) -> str:
    """Return the installed version of a library; raises `ConfigError` when it is not installed."""
    for name in DISTRIBUTIONS[library]:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    raise _missing(library)


def import_library(library: str) -> Any:
    """Return a library's module; raises `ConfigError` when it is not installed."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise _missing(library) from error


def _missing(library: str) -> ConfigError:
    extra = _EXTRAS.get(library, "learners")
    return ConfigError(
        f"The library `{library}` is not installed.",
        expected=f"`{DISTRIBUTIONS[library][0]}`, of the extra `{extra}`",
        where="the Python environment of this process",
        remedy=f"pip install -r requirements-{extra}.txt, where tasks, the server and `lint` run",
    )

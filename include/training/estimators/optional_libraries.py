"""Libraries of estimators that need not be installed: which package brings each, and the error where none does."""

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
}
"""The packages that bring each library."""


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
    return ConfigError(
        f"The library `{library}` is not installed.",
        expected=f"`{DISTRIBUTIONS[library][0]}`, of the extra `learners`",
        where="the Python environment of this process",
        remedy="pip install -r requirements-learners.txt, where tasks, the server and `lint` run",
    )

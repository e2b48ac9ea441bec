"""Compare the libraries of a fit with those that are installed."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from include.errors import ConfigError
from include.training.estimators.optional_libraries import DISTRIBUTIONS, library_version

MISSING = "nothing"
"""The version of a library that is not installed."""


def changed_libraries(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the libraries whose version differs from the recorded one, each with the recorded version and the one here.

    Parameters
    ----------
    recorded : mapping of str to str
        Versions by name, as in the record of a fit.
    """
    here = {name: installed_version(name) for name in sorted(recorded)}
    return {name: (recorded[name], found) for name, found in here.items() if found != recorded[name]}


@cache
def installed_version(name: str) -> str:
    """Return the version of a library, or of Python, that is installed here; `MISSING` where it is not."""
    if name == "python":
        return platform.python_version()
    try:
        return library_version(name) if name in DISTRIBUTIONS else version(name)
    except (ConfigError, PackageNotFoundError):
        return MISSING


def name_changes(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return the changes as text: ``scikit-learn 1.8.0 -> 1.9.0, scipy 1.16.0 -> 1.17.0``."""
    return ", ".join(f"{name} {then} -> {now}" for name, (then, now) in changes.items())

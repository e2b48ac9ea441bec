"""Optional libraries, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from include.errors import ConfigError


def library(name: str, extra: str) -> Any:
    """Return a module of an extra of this project.

    Parameters
    ----------
    name : str
        The module, such as ``pyiceberg.catalog``.
    extra : str
        The extra that has it.

    Raises
    ------
    ConfigError
        When it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        raise ConfigError(
            f"The library `{top}` is not installed.",
            expected=f"`{top}`, of the extra `{extra}`",
            where="the Python environment of this process",
            remedy=f"pip install -r requirements-{extra}.txt, where tasks and `lint` run",
        ) from error

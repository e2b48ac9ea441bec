"""Render pages and pictures from templates."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates_beside(module: str) -> Environment:
    """Return Jinja's environment for the folder ``templates`` beside a module.

    Everything is escaped, and a name that the page is not given is an error and never an empty place.

    Parameters
    ----------
    module : str
        Its ``__file__``.
    """
    return Environment(
        loader=FileSystemLoader(Path(module).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

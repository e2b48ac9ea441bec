"""The pattern language of `data.source.path`, with the same meaning on disk and in S3.

``*``, ``?`` and ``[...]`` stand for characters of one name and never for a ``/``; ``**`` stands for any number of folders. A
path without any of them is a file, or a folder with all files below it. Names that begin with ``.`` or ``_`` are hidden
files and markers such as ``_SUCCESS``, as Spark and Hive leave them: only a pattern that begins with the same character matches them.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Sequence

from include.errors import SourceError

log = logging.getLogger(__name__)

_WILD = re.compile(r"[*?\[]")
BELOW = "**"
"""All files of a folder, however deep."""


def is_wild(text: str) -> bool:
    """Tell whether a path, or a part of one, has wildcards."""
    return bool(_WILD.search(text))


def fixed_part(pattern: str) -> str:
    """Return the part before the first wildcard."""
    return _WILD.split(pattern, maxsplit=1)[0]


def matches(pattern: str, name: str, *, hidden: bool = False) -> bool:
    """Tell whether a pattern means a file's name; both are relative to the same folder, with ``/`` between their parts.

    Parameters
    ----------
    hidden : bool
        Take hidden names for any others.
    """
    return _matches(pattern.split("/"), name.split("/"), hidden)


def meant_names(names: Sequence[str], pattern: str, where: object) -> list[str]:
    """Return the names that a pattern means, and log how many hidden ones it would mean otherwise.

    Raises
    ------
    SourceError
        When the folder is a Delta Lake table, whose files also hold rows that were removed.
    """
    meant = [name for name in names if matches(pattern, name)]
    known = set(meant)
    if hidden := [name for name in names if name not in known and matches(pattern, name, hidden=True)]:
        if any("_delta_log/" in name for name in hidden):
            raise SourceError(
                "The folder is a Delta Lake table: its files hold rows that the table no longer has.",
                expected="a folder of files",
                where=where,
                remedy="declare `kind: delta`; or, if no row of it was ever changed, name the files, such as `path: orders/*.parquet`",
            )
        log.info(
            "%s: %d hidden files or markers were ignored, such as %s (their names begin with . or _)",
            *(where, len(hidden), hidden[0]),
        )
    return meant


def _matches(pattern: Sequence[str], name: Sequence[str], hidden: bool) -> bool:
    if not pattern or not name:
        return not pattern and not name
    first, rest = pattern[0], pattern[1:]
    if first == BELOW:
        if rest and _matches(rest, name, hidden):
            return True
        deeper = _visible("*", name[0], hidden)
        return deeper and (_matches(pattern, name[1:], hidden) or (not rest and len(name) == 1))
    return _visible(first, name[0], hidden) and fnmatch.fnmatchcase(name[0], first) and _matches(rest, name[1:], hidden)


def _visible(pattern: str, name: str, hidden: bool) -> bool:
    if not name:  # S3 has keys such as `a//b`, which no folder has
        return False
    return hidden or name[0] not in "._" or pattern[:1] == name[0]

"""Commands for tags and aliases of versions."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from include.command_line.ledger_queries import ledger_of
from include.command_line.ledger_table import draw_table, ledger_table
from include.errors import ConfigError
from include.registry.naming.lookup import find_version
from include.registry.naming.tags import tagged
from include.storage.content import to_iso


def versions(model: str, tags: Iterable[str]) -> str:
    """Return a model's versions, or those that have all of some tags, with what they are named.

    Parameters
    ----------
    tags : iterable of str
        ``key=value``, or ``key`` for any value.
    """
    timeline = ledger_of(model).timeline()
    shown = tagged(timeline, tags)
    table = ledger_table(shown, whole=timeline)
    pointed = set(timeline.aliases.values())
    named = [one for one in shown.standings if one.tags or one.version in pointed]
    rows = [
        [
            one.version,
            ", ".join(alias for alias, version in timeline.aliases.items() if version == one.version),
            ", ".join(f"{key}={value}" for key, value in one.tags),
        ]
        for one in named
    ]
    return f"{table}\n\n{draw_table(['version', 'aliases', 'tags'], rows)}" if rows else table


def tag(model: str, version: str, text: str, reason: str, *, remove: bool, at: datetime) -> str:
    """Give a version a tag or take it away, and return its tags.

    Parameters
    ----------
    text : str
        ``key=value``; with ``remove`` the key alone.
    at : datetime
        The instant that goes on record.

    Raises
    ------
    ConfigError
        When the text is of another form.
    """
    key, equals, value = text.partition("=")
    if bool(equals) is remove:
        expected = "a key" if remove else "key=value"
        raise ConfigError("This is no tag.", expected=expected, found=text[:80])
    ledger = ledger_of(model)
    found = find_version(ledger.timeline(), version)
    after = ledger.tag(found, key, None if remove else value, reason, actor=actor_of("tag", at), at=at)
    tags = ", ".join(f"{key}={value}" for key, value in after[found].tags)
    return f"{found}: {tags or 'no tags'}"


def alias(model: str, name: str, version: str | None, reason: str, *, remove: bool, at: datetime) -> str:
    """Point an alias at a version, or remove it, and return its target.

    Parameters
    ----------
    version : str or None
        The version; None with ``remove``.
    at : datetime
        The instant that goes on record.

    Raises
    ------
    ConfigError
        When both a version is named and the alias is to be removed, or neither.
    """
    if (version is None) is not remove:
        raise ConfigError(
            "It is not clear what to do.", expected="a version, or --remove", found="both" if remove else "neither"
        )
    ledger = ledger_of(model)
    found = None if version is None else find_version(ledger.timeline(), version)
    after = ledger.alias(name, found, reason, actor=actor_of("alias", at), at=at)
    return f"{name}: {after.aliases.get(name, 'no version')}"


def actor_of(command: str, at: datetime) -> dict[str, Any]:
    """Return who types a command, as events have it."""
    return {"trigger": "manual", "dag": "command line", "run": f"{command} {to_iso(at)}", "user": getpass.getuser()}

"""Tags of versions: keys and values that a person sets with a reason.

They are facts of the ledger and decide nothing: the gate, `settle` and the champion's timeline do not read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from include.errors import RegistryError
from include.registry.timeline import Timeline
from include.registry.version_states import TAGGED, VersionState

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
"""What the key of a tag, and an alias, may be."""
MOST_CHARACTERS = 256
"""Of a tag's value."""

Event = tuple[str, dict[str, Any]]
"""The kind and the body of an event."""


def tag_event(
    timeline: Timeline, version: str, key: str, value: str | None, reason: str, actor: dict[str, Any]
) -> Event | None:
    """Return the event that gives a version a tag, or takes it away with the value None; None if it is so already.

    Parameters
    ----------
    timeline : Timeline
        As the events before it make it.
    value : str or None
        The value; None to take the tag away.
    reason : str
        Why, for people.
    actor : dict
        Who does it, as in every event.

    Raises
    ------
    RegistryError
        When no reason is given, key or value can't be those of a tag, or the version is unknown.
    """
    reason = stated_reason(reason, "A tag")
    if NAME.fullmatch(key) is None:
        raise RegistryError(
            "This can't be the key of a tag.",
            expected="a lower case letter, then letters, digits, `_`, `.` or `-`, such as reviewed_by",
            found=key[:80],
        )
    if value is not None and (not value.isprintable() or not 0 < len(value) <= MOST_CHARACTERS):
        raise RegistryError(
            f"The tag {key} can't have this value.",
            expected=f"1 to {MOST_CHARACTERS} printable characters in one line",
            found=f"{len(value)} characters",
            remedy="a tag is taken away with --remove" if not value else None,
        )
    if dict(timeline[version].tags).get(key) == value:
        return None
    return TAGGED, {"version": version, "key": key, "value": value, "reason": reason, "actor": actor}


def tagged(timeline: Timeline, wanted: Iterable[str]) -> Timeline:
    """Return the versions that have all of some tags.

    Parameters
    ----------
    wanted : iterable of str
        ``key=value``, or ``key`` for any value.
    """
    asked = [one.partition("=") for one in wanted]

    def has_all(standing: VersionState) -> bool:
        tags = dict(standing.tags)
        return all(key in tags and (not equals or tags[key] == value) for key, equals, value in asked)

    return Timeline(tuple(filter(has_all, timeline.standings)))


def stated_reason(reason: str, what: str) -> str:
    """Return the reason that was given for naming a version; raises `RegistryError` without one."""
    if not reason.strip():
        raise RegistryError(f"{what} needs a reason.", expected="a sentence", found=repr(reason))
    return reason.strip()

"""Names of versions: tags that say something of one, and aliases beside the champion that point at one.

A person gives them, with a reason, and moves them again. They are facts of the ledger and decide nothing: the gate, `settle`
and the champion's timeline do not read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from include.errors import ObjectCorrupt, RegistryError, nearest
from include.registry.timeline import ALIASED, TAGGED, Outcome, Timeline, VersionState, fold
from include.storage.log import Entry

MOST_CHARACTERS = 256
"""Of a tag's value."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_LIKE_AN_ID = re.compile(r"[0-9a-f-]+")
_TAKEN = ("champion", "predecessor", "held")

Event = tuple[str, dict[str, Any]]
"""The kind and the body of an event."""


@dataclass(frozen=True)
class AliasMove:
    """One event that gave an alias to a version, or took it back.

    Attributes
    ----------
    before, version : str or None
        The version that it pointed at before, and since; None for none.
    """

    alias: str
    before: str | None
    version: str | None
    entry: Entry


def alias_event(timeline: Timeline, alias: str, version: str | None, reason: str, actor: dict[str, Any]) -> Event | None:
    """Return the event that lets an alias point at a version, or at none; None if it does already.

    Raises
    ------
    RegistryError
        When no reason is given, the name can't be an alias, nothing has it that it could be taken from, or the gate neither
        promoted nor holds the version.
    """
    reason = _reason(reason, "An alias")
    if _NAME.fullmatch(alias) is None or _LIKE_AN_ID.fullmatch(alias) is not None or alias in _TAKEN:
        raise RegistryError(
            "This can't be an alias.",
            expected=f"a lower case letter, then letters, digits, `_`, `.` or `-`; unlike a version's id, and none of {', '.join(_TAKEN)}",
            found=alias[:80],
            remedy="a version comes into force as champion by the gate alone" if alias == "champion" else None,
        )
    holder = next((one for one in timeline.standings if alias in one.aliases), None)
    if version is None:
        if holder is None:
            known = sorted(name for one in timeline.standings for name in one.aliases)
            close = nearest(alias, known)
            raise RegistryError(
                f"No version has the alias {alias}.",
                expected=", ".join(known) or "an alias; the model has none",
                found=alias,
                remedy=f"did you mean {close}?" if close else None,
            )
        return ALIASED, {"version": holder.version, "alias": alias, "given": False, "reason": reason, "actor": actor}
    _require_nameable(timeline[version])
    if holder is not None and holder.version == version:
        return None
    return ALIASED, {"version": version, "alias": alias, "given": True, "reason": reason, "actor": actor}


def tag_event(
    timeline: Timeline, version: str, key: str, value: str | None, reason: str, actor: dict[str, Any]
) -> Event | None:
    """Return the event that gives a version a tag, or takes it away with the value None; None if it is so already.

    Raises
    ------
    RegistryError
        When no reason is given, key or value can't be those of a tag, or the version is unknown.
    """
    reason = _reason(reason, "A tag")
    if _NAME.fullmatch(key) is None:
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


def alias_moves(entries: Iterable[Entry]) -> Iterator[AliasMove]:
    """Yield every event that moved an alias, the oldest first."""
    points: dict[str, str | None] = {}
    for entry in entries:
        if entry.kind == ALIASED:
            alias = str(entry.body["alias"])
            before, points[alias] = points.get(alias), entry.body["version"] if entry.body["given"] else None
            yield AliasMove(alias, before, points[alias], entry)


def check_named(before: Iterable[Entry], entry: Entry) -> str:
    """Return in one sentence what an event named, if it is one that could be written after those before it.

    Raises
    ------
    ObjectCorrupt
        When it could not: by its body, or by where its version stood.
    """
    body, timeline = entry.body, fold(before)
    try:
        if entry.kind == ALIASED:
            version = body["version"] if body["given"] else None
            made = alias_event(timeline, body["alias"], version, body["reason"], body["actor"])
            told = f"{body['alias']} {'points at' if body['given'] else 'is taken from'} {body['version']}"
        else:
            made = tag_event(timeline, body["version"], body["key"], body["value"], body["reason"], body["actor"])
            told = f"{body['key']} of {body['version']}"
    except (RegistryError, KeyError, TypeError) as error:
        raise ObjectCorrupt(
            "an event gives a name that could not be given",
            found=getattr(error, "message", type(error).__name__),
            where=f"event {entry.number}",
        ) from None
    if made is None or made[1] != body:
        raise ObjectCorrupt("an event gives a name that was given already", where=f"event {entry.number}")
    return told


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


def _reason(reason: str, what: str) -> str:
    if not reason.strip():
        raise RegistryError(f"{what} needs a reason.", expected="a sentence", found=repr(reason))
    return reason.strip()


def _require_nameable(standing: VersionState) -> None:
    """Raise `RegistryError` unless the gate promoted or holds a version, nobody withdrew it, and no equal has its place."""
    outcome = standing.decision.outcome if standing.decision else None
    replaced = standing.withdrawn is not None or standing.rebuilt_as is not None
    if replaced or outcome not in (Outcome.PROMOTE, Outcome.HOLD):
        state = f"rebuilt as {standing.rebuilt_as}" if standing.rebuilt_as else outcome or "not decided on"
        raise RegistryError(
            "An alias points only at what the gate promoted or holds.",
            expected="PROMOTE or HOLD, neither withdrawn nor rebuilt",
            found="withdrawn" if standing.withdrawn is not None else state,
            where=standing.version,
        )

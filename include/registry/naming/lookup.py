"""Look up a version by its id, a prefix of its id, or an alias."""

from __future__ import annotations

from include.errors import RegistryError, did_you_mean
from include.registry.timeline import Timeline

CHAMPION = "champion"
"""The name of the version in force."""
_SHOWN = 12


def find_version(timeline: Timeline, wanted: str | None) -> str:
    """Return the version that a form names by its id, the beginning of it or an alias; the champion, if it names none.

    The beginning of the digest will do as well: it is what pages show of an id.

    Raises
    ------
    RegistryError
        When there is none of that name, or more than one; says which there are, newest first, and the nearest.
    """
    known = [standing.version for standing in reversed(timeline.standings)]
    if wanted is None or wanted.strip() in ("", CHAMPION):
        if timeline.champion is None:
            raise RegistryError(
                "There is no champion.",
                expected="the id of a version, or a champion to take if none is given",
                found=listed(known),
            )
        return timeline.champion
    version = wanted.strip()
    matches = timeline.named(version)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RegistryError(
            f"{len(matches)} versions begin with {version}.",
            expected="the whole id, or a longer prefix of it",
            found=listed(matches[::-1]),
        )
    raise RegistryError(
        f"There is no version {version}.",
        expected=f"one of {listed(known)}; or none, for the champion {timeline.champion}",
        found=version,
        remedy=did_you_mean(version, known, mark=""),
    )


def find_held(timeline: Timeline, wanted: str | None) -> str:
    """Return the version that a form names; the newest that is held or came from another stage and waits, if it names none.

    Raises
    ------
    RegistryError
        When there is none of that name, or none is held.
    """
    if wanted is not None and wanted.strip():
        return find_version(timeline, wanted)
    for standing in reversed(timeline.standings):
        if standing.waits:
            return standing.version
    raise RegistryError("No version is held.", expected="a version whose last decision is HOLD", found="none")


def listed(versions: tuple[str, ...] | list[str]) -> str:
    """Return versions as a text, the first dozen of them."""
    more = f" and {len(versions) - _SHOWN} older" if len(versions) > _SHOWN else ""
    return (", ".join(versions[:_SHOWN]) or "no version") + more

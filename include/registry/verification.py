"""Verify a ledger: read every object that it names, directly or not, and compare it with its digest.

A version is named by the event that registered it, a version names the records of its fits, and those name all that they are
made of; a decision names configuration and evidence. Answers that are kept under their question are named by nothing, and
hold their own digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from include.errors import ObjectCorrupt, ObjectRemoved, RatchetError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.named_objects import NamedObjects
from include.registry.version_states import ALIASED, TAGGED
from include.signing.deployment import unasked_anchors
from include.signing.heads import HeadsFound
from include.storage.answers import check_answers
from include.storage.log import Entry

CACHED_ANSWERS = ("alone", "checks/index", "checks/passed", "evidence/index", "tripwires")
"""The folders of answers that are kept under their question."""
_CHAIN = "the chain"


@dataclass(frozen=True)
class Finding:
    """One object that was verified."""

    what: str
    state: Literal["ok", "note", "wrong"]
    """``note``: nothing is wrong, but less is known than of what this release writes."""
    found: str


@dataclass(frozen=True)
class Step:
    """One thing to look at.

    Attributes
    ----------
    look : callable
        Returns a sentence; raises `RatchetError` where something is wrong.
    event : Entry or None
        The event that names what is looked at.
    """

    name: str
    look: Callable[[], str]
    event: Entry | None = None


def steps(ledger: Ledger, folder: Path) -> list[Step]:
    """Return what `verify` looks at, event by event in their order, so that a part of it can be taken at a time.

    Of a ledger that can't be read there is one step, which says why. An object that two steps name is read once.
    """
    try:
        entries = ledger.entries()
    except StoreUnavailable:
        raise
    except RatchetError:
        # Of the same name as the first step of a ledger that can be read: what an audit finds wrong stands until that name is found right.
        return [Step(_CHAIN, lambda: f"{len(ledger.entries())} events")]
    found = [Step(_CHAIN, lambda: f"{ledger.verify()} events, each follows from the one before")]
    if (heads := ledger.heads) is not None:
        found.append(Step("the signatures", lambda: _of_heads(heads.verify(ledger.entries()))))
    found += [Step(f"answers under {name}", lambda name=name: _sound_answers(ledger, name)) for name in CACHED_ANSWERS]  # type: ignore[misc]
    timeline = ledger.timeline()
    walk = NamedObjects(ledger, timeline, folder)
    for entry in entries:
        version = str(entry.body["version"])
        if entry.kind == "registered":
            found.append(Step(version, lambda version=version: walk.version(version), entry))  # type: ignore[misc]
        elif entry.kind == "decided":
            name = f"event {entry.number}, the decision on {version}"
            found.append(Step(name, lambda entry=entry: walk.decision(entry), entry))  # type: ignore[misc]
        elif entry.kind == "rebuilt":
            name = f"event {entry.number}, the rebuild as {version}"
            found.append(Step(name, lambda entry=entry: walk.rebuild(entry), entry))  # type: ignore[misc]
        elif entry.kind in (ALIASED, TAGGED):
            name = f"event {entry.number}, {entry.kind} {version}"
            found.append(Step(name, lambda entry=entry: walk.naming(entry), entry))  # type: ignore[misc]
    return found


def verify(ledger: Ledger, folder: Path) -> Iterator[Finding]:
    """Look at everything that a ledger names, and yield what was found, one at a time.

    Parameters
    ----------
    folder : Path
        The model's folder; the code in it is of no importance, unless it is that of a fit.
    """
    yield from _looked(_CHAIN, lambda: f"{ledger.verify()} events, each follows from the one before")
    if (heads := ledger.heads) is not None:
        yield from _looked("the signatures", lambda: _of_heads(heads.verify(ledger.entries())))
        if unasked := unasked_anchors():
            yield Finding("the signatures", "note", f"{', '.join(unasked)}: asked by Airflow's tasks only")
    timeline = ledger.timeline()
    walk = NamedObjects(ledger, timeline, folder)
    for standing in timeline.standings:
        yield from _looked(standing.version, lambda version=standing.version: walk.version(version))  # type: ignore[misc]
    for entry in ledger.entries():
        if entry.kind == "rebuilt":
            yield from _looked(f"the rebuild as {entry.body['version']}", lambda entry=entry: walk.rebuild(entry))  # type: ignore[misc]
        elif entry.kind in (ALIASED, TAGGED):
            yield from _looked(f"event {entry.number}, {entry.kind}", lambda entry=entry: walk.naming(entry))  # type: ignore[misc]
    sound = 0
    decided = [entry for entry in ledger.entries() if entry.kind == "decided"]
    for entry in decided:
        wrong = list(_looked(f"the decision on {entry.body['version']}", lambda entry=entry: walk.decision(entry)))  # type: ignore[misc]
        sound += all(one.state == "ok" for one in wrong)
        yield from (one for one in wrong if one.state != "ok")
    if sound == len(decided):
        sentence = "each follows from its evidence, its policy and the answer of a person, if there was one"
        yield Finding("the decisions", "ok", f"{sound}, {sentence}")
    yield from _answers(ledger)
    if earlier := [standing.version for standing in timeline.standings if standing.record is None]:
        yield Finding(
            f"{len(earlier)} versions of release 0.1",
            "note",
            "their records are not named by a digest. Proven are rows, declaration, code, libraries and model file, from which "
            "their keys follow; unproven are what a search or a threshold found, and their baselines' model files. "
            "What is trained from now on is proven whole",
        )


def verify_version(ledger: Ledger, version: str, folder: Path) -> str:
    """Hold one version and all that it is made of against their names, and return what was found.

    Parameters
    ----------
    version : str
        Its id; it need not be registered.
    folder : Path
        The model's folder.

    Raises
    ------
    ObjectMissing, ObjectCorrupt, SignatureRefused
    """
    return NamedObjects(ledger, ledger.timeline(), folder).version(version)


def _looked(what: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(what, "ok", look())
    except StoreUnavailable:
        raise
    except ObjectRemoved as error:
        yield Finding(what, "note", error.message)
    except RatchetError as error:
        yield Finding(what, "wrong", str(error))


def _of_heads(found: HeadsFound) -> str:
    """Describe the state of signatures and anchors in one sentence."""
    parts = [f"{found.signed} events are signed by {', '.join(found.signers) or 'nobody'}"]
    if found.before:
        parts.append(f"the {found.before} before them are vouched for by their chain")
    if found.anchored:
        parts.append(f"the newest is remembered by {', '.join(found.anchored)}")
    if found.behind:
        parts.append(f"remembering less, which the next task mends: {', '.join(found.behind)}")
    if not found.anchored and not found.behind:
        parts.append("no anchor is set: that the newest events are all there is not proven")
    return "; ".join(parts)


def _answers(ledger: Ledger) -> Iterator[Finding]:
    count = 0
    for name in CACHED_ANSWERS:
        for key, error in check_answers(ledger.store, f"{ledger.model}/{name}"):
            if error is None:
                count += 1
            else:
                yield Finding(key, "wrong", str(error))
    yield Finding("kept answers", "ok", f"{count} are those that were given")


def _sound_answers(ledger: Ledger, name: str) -> str:
    found = list(check_answers(ledger.store, f"{ledger.model}/{name}"))
    if wrong := [f"{key}: {error}" for key, error in found if error is not None]:
        raise ObjectCorrupt("answers that were kept are not those that were given", found="; ".join(wrong))
    return f"{len(found)} are those that were given"

"""Verify a ledger: read every object that it names, directly or not, and compare it with its digest.

A version is named by the event that registered it, a version names the records of its fits, and those name all that they are
made of; a decision names configuration and evidence. Answers that are kept under their question are named by nothing, and
hold their own digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot, quarantine_folder
from include.data.stored_partitions import check_partition
from include.errors import ObjectCorrupt, ObjectRemoved, RatchetError, RegistryError, StoreUnavailable
from include.evaluation.compared_models import subject_of
from include.evaluation.evidence import Evidence
from include.evaluation.evidence_recheck import measured_otherwise
from include.evaluation.gains import Role
from include.registry.gate.judgement import policy_digest
from include.registry.history.policy_replay import judge_again
from include.registry.ledger import Ledger
from include.registry.naming.aliases import alias_event
from include.registry.naming.tags import tag_event
from include.registry.timeline import Timeline, fold
from include.registry.version_states import ALIASED, TAGGED, Decision, Origin
from include.registry.versions import Version, fit_of, pooled_fit
from include.signing.deployment import unasked_anchors
from include.signing.heads import HeadsFound
from include.storage.answers import check_answers
from include.storage.content import digest_json, get_content, read_json
from include.storage.entries import open_entry
from include.storage.log import Entry
from include.storage.tombstones import MarkedStore
from include.training.fit_record import FitRecord
from include.training.provenance import config_of, listed_code

CACHED_ANSWERS = ("alone", "checks/index", "checks/passed", "evidence/index", "tripwires")
"""The folders of answers that are kept under their question."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

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
        return [Step("the ledger", lambda: f"{len(ledger.entries())} events")]
    found = [Step("the chain", lambda: f"{ledger.verify()} events, each follows from the one before")]
    if (heads := ledger.heads) is not None:
        found.append(Step("the signatures", lambda: _of_heads(heads.verify(ledger.entries()))))
    found += [Step(f"answers under {name}", lambda name=name: _sound_answers(ledger, name)) for name in CACHED_ANSWERS]  # type: ignore[misc]
    timeline = ledger.timeline()
    walk = _Walk(ledger, timeline, folder)
    for entry in entries:
        version = str(entry.body["version"])
        if entry.kind == "registered":
            found.append(Step(version, lambda version=version: walk.version(version), entry))  # type: ignore[misc]
        elif entry.kind == "decided":
            name, decision = f"event {entry.number}, the decision on {version}", Decision.from_json(entry.body)
            found.append(Step(name, lambda decision=decision: walk.decision(decision), entry))  # type: ignore[misc]
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
    yield from _looked("the chain", lambda: f"{ledger.verify()} events, each follows from the one before")
    if (heads := ledger.heads) is not None:
        yield from _looked("the signatures", lambda: _of_heads(heads.verify(ledger.entries())))
        if unasked := unasked_anchors():
            yield Finding("the signatures", "note", f"{', '.join(unasked)}: asked by Airflow's tasks only")
    timeline = ledger.timeline()
    walk = _Walk(ledger, timeline, folder)
    for standing in timeline.standings:
        yield from _looked(standing.version, lambda version=standing.version: walk.version(version))  # type: ignore[misc]
    for entry in ledger.entries():
        if entry.kind == "rebuilt":
            yield from _looked(f"the rebuild as {entry.body['version']}", lambda entry=entry: walk.rebuild(entry))  # type: ignore[misc]
        elif entry.kind in (ALIASED, TAGGED):
            yield from _looked(f"event {entry.number}, {entry.kind}", lambda entry=entry: walk.naming(entry))  # type: ignore[misc]
    sound = 0
    decided = [Decision.from_json(entry.body) for entry in ledger.entries() if entry.kind == "decided"]
    for decision in decided:
        wrong = list(_looked(f"the decision on {decision.version}", lambda one=decision: walk.decision(one)))  # type: ignore[misc]
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
    return _Walk(ledger, ledger.timeline(), folder).version(version)


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
    """Say in one sentence what signatures and anchors tell."""
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


class _Walk:
    """Follows names to objects; each object is read once."""

    def __init__(self, ledger: Ledger, timeline: Timeline, folder: Path) -> None:
        self._ledger, self._model = ledger, ledger.model
        self._store = MarkedStore(ledger.store, ledger.model)
        self._removed: set[str] = set()
        self._timeline, self._folder = timeline, folder
        self._seen: set[tuple[str, str]] = set()

    def version(self, name: str) -> str:
        """Hold a version and all that it is made of against their names."""
        version = self._ledger.version(name)
        if (signed := self._ledger.statement(name)) is not None:
            for golden in signed.golden:
                self._content(f"golden/{name}", ".parquet", golden)
        if name in self._timeline and (origin := self._timeline[name].origin) is not None:
            self._origin(name, origin)
        self._snapshot(version.snapshot)
        fit = fit_of(self._store, version)
        named = {version.fit, *version.baselines.values(), *version.candidates.values(), *(fit.members or ())}
        for key in sorted(named):
            self._fit(fit_of(self._store, version, key))
        sentence = f"its record, {len(named)} fits, their rows, code and model files are those that they are named by"
        return f"{sentence}; {self._tidied()}" if self._removed else sentence

    def _tidied(self) -> str:
        """Say what was not there because it was removed on record, and begin anew."""
        said = f"but {len(self._removed)} objects that were removed. {min(self._removed)}"
        self._removed.clear()
        return said

    @contextmanager
    def _unless_removed(self) -> Iterator[None]:
        try:
            yield
        except ObjectRemoved as error:
            self._removed.add(error.message)

    def _origin(self, name: str, origin: Origin) -> None:
        """Hold the copy of another stage's event against its digest and the version that it is said to have promoted."""
        key = origin.key(self._model)
        event = open_entry(self._store.get(key), origin.event, where=f"{self._store.url}: {key}")
        told = (event.digest, event.kind, event.body.get("outcome"), event.body["version"])
        if told[0] != origin.digest or event.kind not in ("decided", "rebuilt") or told[3] != name:
            raise ObjectCorrupt(
                "a version did not come from where the ledger says",
                expected=f"event {origin.digest[:12]}, which promoted {name}",
                found=f"event {event.digest[:12]}, {event.kind} {told[2] or ''} of {told[3]}",
                where=key,
            )

    def rebuild(self, entry: Entry) -> str:
        """Hold a rebuild against its report, and both versions against each other: only libraries and platform may differ."""
        original, rebuilt = (self._ledger.version(entry.body[name]) for name in ("rebuild_of", "version"))
        body = get_content(self._store, f"{self._model}/reproductions", ".json", entry.body["proof"])
        report, predictions = read_json(body), read_json(body)["predictions"] or {}
        then, now = fit_of(self._store, original), fit_of(self._store, rebuilt)
        facts = {
            "version of the report": (original.id, report["version"]),
            "rebuilt model file": (rebuilt.model_file, report["made_file"]),
            "rows beyond the tolerance": (0, predictions.get("beyond", 0)),
            "proved": (True, report["reproduced"]),
        }
        same = ("snapshot", "candidate", "estimator", "seed", "config", "code", "classes", "columns", "train")
        facts |= {name: (getattr(then, name), getattr(now, name)) for name in same}
        if others := [name for name, (expected, found) in facts.items() if expected != found]:
            raise ObjectCorrupt(
                "a rebuild, its report and its versions do not agree",
                expected=", ".join(f"{name} {facts[name][0]}" for name in others),
                found=", ".join(str(facts[name][1]) for name in others),
                where=f"event {entry.number}",
            )
        return f"it is the equal of {original.id}, by its report"

    def naming(self, entry: Entry) -> str:
        """Hold an event that names a version against what could be named after the events before it."""
        body, before = entry.body, fold(self._ledger.entries(fresh=False)[: entry.number])
        try:
            if entry.kind == ALIASED:
                version = body["version"] if body["given"] else None
                made = alias_event(before, body["alias"], version, body["reason"], body["actor"])
            else:
                made = tag_event(before, body["version"], body["key"], body["value"], body["reason"], body["actor"])
        except (RegistryError, KeyError, TypeError) as error:
            raise ObjectCorrupt(
                "an event gives a name that could not be given",
                found=getattr(error, "message", type(error).__name__),
                where=f"event {entry.number}",
            ) from None
        if made is None or made[1] != body:
            raise ObjectCorrupt("an event gives a name that stood already", where=f"event {entry.number}")
        return f"{body.get('alias') or body['key']}: it could be {entry.kind} then"

    def _policy_of_0_1(self, config: str) -> str:
        """Return the digest that release 0.1 gave the rules of a configuration, defaults included, as they are stored."""
        return digest_json(read_json(get_content(self._store, f"{self._model}/configs", ".json", config))["gate"])

    def decision(self, decision: Decision) -> str:
        """Hold a decision against what it was made on."""
        config = self._ledger.config(decision.config)
        if decision.policy not in (policy_digest(config.gate), self._policy_of_0_1(decision.config)):
            raise ObjectCorrupt("a decision names another policy than that of its configuration")
        comparison = self._ledger.compare(decision)
        if comparison is not None:
            self._evidence(config, decision, comparison.evidence, comparison.challenger, comparison.incumbent)
        again = judge_again(self._ledger, self._timeline, decision)
        if again.differs:
            raise RatchetError(
                "A decision does not follow from its evidence and policy.",
                expected=decision.outcome,
                found=again.outcome,
                remedy="`python -m include replay` shows both outcomes; look for who could write to the store",
            )
        return str(decision.outcome)

    def _evidence(
        self,
        config: ModelConfig,
        decision: Decision,
        evidence: Evidence,
        challenger: Version,
        incumbent: Version | None,
    ) -> None:
        if (evidence.version, evidence.incumbent) != (decision.version, decision.incumbent):
            raise ObjectCorrupt("evidence speaks of other versions than the decision that names it")
        self._snapshot(evidence.snapshot)
        if evidence.costs is not None:
            self._code(evidence.costs)
        fits: dict[Role, FitRecord] = {"challenger": fit_of(self._store, challenger)}
        for name, key in challenger.baselines.items():
            fits[cast("Role", name)] = fit_of(self._store, challenger, key)
        if (pooled := pooled_fit(self._store, challenger)) is not None:
            fits["pooled"] = pooled
        if incumbent is not None and "incumbent" in evidence.scores:
            fits["incumbent"] = fit_of(self._store, incumbent)
        told = {role for role in fits if role in evidence.subjects}
        for role in told:
            _same_fit(role, evidence, fits[role])
        if all(evidence.subjects[role].code is None for role in told):
            found = {role: fit for role, fit in fits.items() if role in told}
            if otherwise := measured_otherwise(self._store, config, self._folder, evidence, found):
                raise RatchetError(
                    "Evidence may be false: it was measured with other code than the models were fitted with.",
                    expected="what the models predict by their own code, from `features.derive` of then",
                    found=f"other predictions of the {' and the '.join(otherwise)}",
                    where=f"evidence {str(decision.evidence)[:12]}",
                    remedy="train that date again, which is measured rightly; a version that is in force wrongly can be withdrawn",
                )

    def _fit(self, fit: FitRecord) -> None:
        files = [fit.model_file, *(fit.refits or ()), *([fit.unmitigated.model_file] if fit.unmitigated else ())]
        for file in files:
            self._content("models", ".skops", file)
        self._code(fit.code)
        self._snapshot(fit.snapshot)
        if fit.domain is not None:
            self._content("domains", ".json", fit.domain)
        if fit.config is not None and self._new("configs", fit.config):
            config_of(self._store, fit)

    def _code(self, digest: str) -> None:
        if self._new("code", digest):
            for file in listed_code(self._store, self._model, digest).values():
                self._content("code", ".py", file)

    def _snapshot(self, digest: str) -> None:
        if not self._new("snapshots", digest):
            return
        snapshot = Snapshot.load(self._store, self._model, digest)
        for source in snapshot.sources:
            for pinned in source.partitions:
                if self._new("partitions", f"{source.partition_key(pinned)} {pinned.file}"):
                    with self._unless_removed():
                        check_partition(self._store, source, pinned)
        if snapshot.excluded is not None and self._new("quarantine", snapshot.excluded):
            with self._unless_removed():
                get_content(self._store, quarantine_folder(self._model), ".parquet", snapshot.excluded)

    def _content(self, folder: str, suffix: str, digest: str) -> None:
        if self._new(folder, f"{digest}{suffix}"):
            with self._unless_removed():
                get_content(self._store, f"{self._model}/{folder}", suffix, digest)

    def _new(self, folder: str, name: str) -> bool:
        new = (folder, name) not in self._seen
        self._seen.add((folder, name))
        return new


def _same_fit(role: Role, evidence: Evidence, fit: FitRecord) -> None:
    """Raise `ObjectCorrupt` unless evidence speaks of this very fit, asked with its own code."""
    then, now = evidence.subjects[role], subject_of(fit)
    names = ["fit", "model_file", "model_bytes", "candidate", "estimator", "threshold", "train_after", "train_until"]
    names += ["train_rows", *(["code"] if then.code is not None else [])]
    if others := [name for name in names if getattr(then, name) != getattr(now, name)]:
        raise ObjectCorrupt(
            f"evidence of the {role} and the record of its fit do not agree",
            expected=", ".join(f"{name} {getattr(then, name)}" for name in others),
            found=", ".join(str(getattr(now, name)) for name in others),
            where=f"fit {fit.key[:12]}",
        )

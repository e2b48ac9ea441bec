"""Follow the names in a ledger to stored objects, and verify each object against its digest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from include.config.model import ModelConfig
from include.config.sections.rows.segments import owner_of
from include.data.snapshots import Snapshot, quarantine_folder
from include.data.stored_partitions import check_partition
from include.errors import ObjectCorrupt, ObjectRemoved, RatchetError, RegistryError
from include.evaluation.compared_models import subject_of
from include.evaluation.evidence import Evidence
from include.evaluation.evidence_recheck import measured_otherwise
from include.evaluation.gains import Role
from include.registry.gate.judgement import policy_digest
from include.registry.history.policy_replay import judge_again
from include.registry.ledger import Ledger
from include.registry.naming.aliases import alias_event
from include.registry.naming.tags import tag_event
from include.registry.timeline import Timeline, apply_event
from include.registry.version_states import ALIASED, Decision, Origin, VersionState
from include.registry.versions import Version, fit_of, pooled_fit
from include.storage.content import digest_json, get_content, read_json
from include.storage.entries import open_entry
from include.storage.log import Entry
from include.storage.tombstones import MarkedStore
from include.training.fit_record import FitRecord
from include.training.provenance import config_of, listed_code


class NamedObjects:
    """The objects that a ledger names, directly or not; each is read once.

    Parameters
    ----------
    ledger : Ledger
    timeline : Timeline
    folder : Path
        The model's folder; the code in it is of no importance, unless it is that of a fit.
    """

    def __init__(self, ledger: Ledger, timeline: Timeline, folder: Path) -> None:
        self._ledger, self._model = ledger, ledger.model
        self._store = MarkedStore(ledger.store, owner_of(ledger.model))  # which has the rows, and the tombstones
        self._removed: set[str] = set()
        self._timeline, self._folder = timeline, folder
        self._seen: set[tuple[str, str]] = set()
        self._folded: tuple[int, dict[str, VersionState]] = (0, {})

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
        """Describe the objects that were removed on record, and reset the list."""
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
        """Verify the copy of another stage's event against its digest and the version that it promoted."""
        key = origin.key(self._model)
        event = open_entry(self._store.get(key), origin.event, where=f"{self._store.url}: {key}")
        told = (event.digest, event.kind, event.body.get("outcome"), event.body["version"])
        promoted = event.kind == "rebuilt" or (event.kind == "decided" and told[2] == "PROMOTE")
        if told[0] != origin.digest or not promoted or told[3] != name:
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
        # In their order each event is folded once.
        done, standings = self._folded if self._folded[0] <= entry.number else (0, {})
        for one in self._ledger.entries(fresh=False)[done : entry.number]:
            apply_event(one, standings)
        self._folded, before, body = (entry.number, standings), Timeline(tuple(standings.values())), entry.body
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

    def decision(self, entry: Entry) -> str:
        """Verify a decision against its evidence and policy."""
        config = self._ledger.config((decision := Decision.from_json(entry.body)).config)
        if decision.policy not in (policy_digest(config.gate), self._policy_of_0_1(decision.config)):
            raise ObjectCorrupt("a decision names another policy than that of its configuration")
        comparison = self._ledger.compare(decision)
        if comparison is not None:
            self._evidence(config, decision, comparison.evidence, comparison.challenger, comparison.incumbent)
        again = judge_again(self._ledger, self._timeline, entry)
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
    """Raise `ObjectCorrupt` unless evidence is about exactly this fit, measured with its own code."""
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

"""Stores that hold the history of a model as a deployment would, without training anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worlds import FLIGHTS, evidence

from include.config.model import ModelConfig
from include.data.snapshots import Pinned, Snapshot
from include.data.windows import Split, Window
from include.evaluation.evidence import Holdout, Subject
from include.evaluation.explanation.results import Curves
from include.registry.gate.judgement import policy_digest
from include.registry.version_states import Decision, Outcome
from include.registry.versions import Version, id_of
from include.storage.content import canonical_json, digest_json, put_content, put_json, to_iso
from include.storage.log import Log
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord, FittedRows

RECORDED = "2026-01-01T00:00:00Z"
_OUTCOMES = (Outcome.PROMOTE, Outcome.HOLD, Outcome.PROMOTE, Outcome.REJECT, Outcome.PROMOTE, Outcome.INCOMPARABLE)


def tell(
    store: ObjectStore,
    model: ModelConfig = FLIGHTS,
    *,
    versions: int,
    first: datetime = datetime(2013, 5, 1, tzinfo=UTC),
    step: timedelta = timedelta(days=30),
    withdraw: int | None = None,
) -> list[str]:
    """Register and decide on versions, one a step; the first half is backfilled. Return their ids."""
    log = Log(store, f"{model.name}/ledger/")
    config = put_content(store, f"{model.name}/configs", ".json", canonical_json(model.to_json()))
    ids: list[str] = []
    incumbent: str | None = None
    for number in range(versions):
        as_of = first + number * step
        outcome = _OUTCOMES[number % len(_OUTCOMES)]
        value = 0.70 + 0.03 * (number % 7) / 7
        version = _version(store, model, as_of, number)
        found = replace(
            evidence(
                value,
                {"trivial": 0.5, "simple": 0.66} | ({"incumbent": value - 0.01} if incumbent else {}),
                version=version,
                incumbent=incumbent,
                model=model.name,
                holdout=Holdout(to_iso(as_of - step), to_iso(as_of), 10_000, digest_json(number), 2_000),
            ),
            curves={
                "challenger": Curves(
                    ((0.1, 0.1, 0.05, 0.15, 100), (0.6, 0.55, 0.5, 0.62, 80)), confusion=(70, 10, 12, 8)
                )
            },
            subjects={
                "challenger": Subject("fit", "file", 1000, "a", "decision_tree", {}, 0.5, RECORDED, RECORDED, 10, None)
            },
        )
        key = put_content(store, f"{model.name}/evidence", ".json", canonical_json(found.to_json()))
        actor = {
            "trigger": "backfill" if number < versions // 2 else "scheduled",
            "dag": f"retrain_{model.name}",
            "run": f"scheduled__{to_iso(as_of)}",
        }
        log.append(lambda _, v=version, a=actor: ("registered", _registered(v, a)), at=RECORDED)  # type: ignore[misc]
        decision = Decision(
            version=version.id,
            outcome=outcome,
            reason=f"roc_auc better than the incumbent: gain {0.01:+.4f}, one-sided 95% bounds +0.0020 and +0.0180, must be above +0.0000",
            incumbent=incumbent,
            evidence=key,
            policy=policy_digest(model.gate),
            config=config,
            primary={
                "metric": "roc_auc",
                "against": "incumbent" if incumbent else "simple",
                "challenger": value,
                "challenger_low": value - 0.02,
                "challenger_high": value + 0.02,
                "other": value - 0.01,
                "gain": 0.01,
                "low": 0.002,
                "high": 0.018,
                "confidence": 0.95,
            },
            actor=actor,
        )
        log.append(lambda _, d=decision: ("decided", d.to_json()), at=RECORDED)  # type: ignore[misc]
        ids.append(version.id)
        if outcome is Outcome.PROMOTE:
            incumbent = version.id
    if withdraw is not None:
        body = {"version": ids[withdraw], "reason": "late feed", "actor": {"trigger": "manual", "user": "ada"}}
        log.append(lambda _: ("withdrawn", body), at=RECORDED)
    return ids


def _registered(version: Version, actor: dict[str, str]) -> dict[str, object]:
    return {
        "version": version.id,
        "as_of": to_iso(version.as_of),
        "model_file": version.model_file,
        "record": version.digest,
        "actor": actor,
    }


def _version(store: ObjectStore, model: ModelConfig, as_of: datetime, number: int) -> Version:
    split = Split(
        Window(as_of - timedelta(days=150), as_of - timedelta(days=32)), Window(as_of - timedelta(days=31), as_of)
    )
    slots = tuple(
        Pinned(f"2013-{month:02}", digest_json(month), digest_json(month), 1000 * month) for month in (1, 2, 3)
    )
    snapshot = Snapshot(
        model.name, as_of, digest_json("source"), split, slots, {"distance": "integer", "late": "boolean"}
    )
    fit = FitRecord(
        key=digest_json([model.name, number]),
        model=model.name,
        candidate="hist_gradient_boosting",
        estimator="hist_gradient_boosting",
        params={"max_iter": 200 + number % 2},
        task="classification",
        snapshot=snapshot.save(store),
        train=FittedRows(split.train.after, split.train.until, 100_000, digest_json(number)),
        model_file=digest_json(["file", number]),
        model_bytes=660_000,
        threshold=0.5,
        classes=(False, True),
        columns=("distance",),
        cv=None,
        trials=None,
        seed=0,
        code=digest_json("code"),
        libraries={"python": "3.11.7", "scikit-learn": f"1.9.{number % 2}"},
    )
    put_json(store, f"{model.name}/fits/{fit.key}.json", fit.to_json())
    version = Version(
        id=id_of(model.name, as_of, fit.key),
        model=model.name,
        as_of=as_of,
        snapshot=fit.snapshot,
        fit=fit.key,
        candidate=fit.candidate,
        estimator=fit.estimator,
        model_file=fit.model_file,
        baselines={},
    )
    put_json(store, f"{model.name}/versions/{version.id}.json", version.to_json())
    return version

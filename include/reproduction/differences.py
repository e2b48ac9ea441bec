"""Differences from the record: settings, libraries, code, platform, and records that do not agree with each other."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from include.config.code import file_digests
from include.config.model import ModelConfig
from include.config.sections.rows.sources import PythonSource
from include.data.snapshots import Snapshot
from include.data.sources.registry import source_digest
from include.errors import ObjectMissing, RatchetError, StoreUnavailable
from include.registry.versions import Version
from include.reproduction.report import Kind, ReproductionDifference
from include.storage.content import get_content
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.provenance import listed_code
from include.training.recipe import Recipe

_SECTIONS = ("task", "data", "quality", "features", "training")
_NOTHING = "nothing"


def of_settings(then: ModelConfig, now: ModelConfig) -> Iterator[ReproductionDifference]:
    """Compare the parts of two declarations that affect how a model is trained."""
    old, new = _leaves(_about_fits(then)), _leaves(_about_fits(now))
    for name in sorted({*old, *new}):
        if old.get(name, _NOTHING) != new.get(name, _NOTHING):
            yield ReproductionDifference(
                Kind.SETTING, name, str(old.get(name, _NOTHING)), str(new.get(name, _NOTHING)), bears=False
            )


def of_libraries(fit: FitRecord, recipe: Recipe) -> Iterator[ReproductionDifference]:
    """Compare the versions that a fit was made with and those installed here."""
    yield from _of_table(Kind.LIBRARY, fit.libraries, recipe.libraries(), bears=True)


def of_platform(fit: FitRecord) -> Iterator[ReproductionDifference]:
    """Compare operating system and processor."""
    here = f"{platform.system()} {platform.machine()}"
    if fit.platform != here:
        yield ReproductionDifference(Kind.PLATFORM, "of the fit", str(fit.platform), here, bears=True)


def of_code(
    store: ObjectStore, fit: FitRecord, recipe: Recipe, snapshot: Snapshot, config: ModelConfig, folder: Path
) -> Iterator[ReproductionDifference]:
    """Compare the model's Python files, and the reader of its source, with those of today.

    Parameters
    ----------
    fit : FitRecord
        The record of the fit; it names the code.
    recipe : Recipe
        Lists the Python files that count.
    snapshot : Snapshot
        Names the reader of the source by its digest.
    config : ModelConfig
        The model's declaration.
    folder : Path
        The model's folder as it is now.
    """
    recorded = {name: digest[:12] for name, digest in listed_code(store, fit.model, fit.code).items()}
    here = {name: digest[:12] for name, digest in file_digests(recipe.code(folder)).items()}
    yield from _of_table(Kind.CODE, recorded, here, bears=False)
    for data, pinned in zip(config.data.sources, snapshot.sources, strict=True):
        if (
            isinstance(data.source, PythonSource)
            and (now := source_digest(data, folder, config.rectify_of(data))) != pinned.source
        ):
            name = f"{data.source.reader.partition(':')[0]}.py, or what it imports"
            yield ReproductionDifference(Kind.CODE, name, pinned.source[:12], now[:12], bears=False)


def of_records(
    store: ObjectStore, version: Version, fit: FitRecord, recipe: Recipe
) -> Iterator[ReproductionDifference]:
    """Hold a fit's record against its declaration, and the model file against its digest.

    That record and declaration are those that the ledger names was held when they were read; only what no digest and no key
    of release 0.1 stood for can still differ.

    Parameters
    ----------
    version : Version
        The version's record; it names the model file.
    fit : FitRecord
        The record of its fit.
    recipe : Recipe
        The recipe that the recorded declaration gives.
    """
    joined = tuple(one for one in recipe.members if one.name in fit.params)
    facts: dict[str, tuple[Any, Any]] = {
        "seed": (fit.seed, recipe.seed),
        "estimator": (fit.estimator, recipe.estimator),
        "columns": (list(fit.columns), list(replace(recipe, members=joined).inputs)),
    }
    if recipe.search is None and not joined:
        facts["params"] = (fit.params, recipe.settings)
    for name, (recorded, other) in facts.items():
        if recorded != other:
            yield ReproductionDifference(Kind.RECORD, name, _short(recorded), _short(other), bears=True)
    try:
        get_content(store, f"{fit.model}/models", ".skops", version.model_file)
    except StoreUnavailable:
        raise  # it says nothing of the record
    except ObjectMissing:
        yield ReproductionDifference(Kind.RECORD, "model file", _short(version.model_file), "missing", bears=True)
    except RatchetError:
        yield ReproductionDifference(Kind.RECORD, "model file", _short(version.model_file), "damaged", bears=True)


def _of_table(
    kind: Kind, then: Mapping[str, str], now: Mapping[str, str], *, bears: bool
) -> Iterator[ReproductionDifference]:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            yield ReproductionDifference(kind, name, then.get(name, _NOTHING), now.get(name, _NOTHING), bears=bears)


def _about_fits(config: ModelConfig) -> dict[str, Any]:
    value = config.to_json()
    metric = value["gate"]["primary"]["metric"]
    return {name: value[name] for name in _SECTIONS} | {"gate": {"primary": {"metric": metric}}}


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Return the values of nested sections by their path: ``training.candidates[0].params.max_iter``."""
    if isinstance(value, dict) and value:
        parts = [(f"{name}.{key}" if name else key, one) for key, one in value.items()]
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        parts = [(f"{name}[{number}]", one) for number, one in enumerate(value)]
    else:
        return {name: value}
    return {path: leaf for part, one in parts for path, leaf in _leaves(one, part).items()}


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and " " not in text else text

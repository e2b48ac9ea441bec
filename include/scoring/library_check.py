"""Check after an upgrade of libraries that a version can be loaded and gives its golden rows.

The check is made once for a version and a set of installed libraries. Its result is kept, so that the next task and the Models page
find it without loading the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.config.model import ModelConfig
from include.errors import DataError, EvaluationError, LibrariesChanged, ModelFileRefused, RatchetError
from include.registry.versions import Version, fit_of
from include.scoring.golden import check_golden, load_golden
from include.scoring.predictor import open_predictor
from include.storage.answers import find_answer, keep_answer
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.library_versions import changed_libraries, name_changes

FOLDER = "library_checks"
"""The folder of the results of a model's checks."""
UNUSABLE = (DataError, EvaluationError, ModelFileRefused)
"""What a version raises that other libraries make unusable."""


def require_usable(store: ObjectStore, model: ModelConfig, folder: Path, version: Version) -> None:
    """Raise `LibrariesChanged` if a version can't be used unchanged with the installed libraries.

    Where the libraries are those of its fit, only the record of the fit is read.

    Parameters
    ----------
    folder : Path
        The model's folder.

    Raises
    ------
    LibrariesChanged
        When it can't be loaded, or does not give its golden rows.
    ObjectMissing, ObjectCorrupt
        When its record or a golden row is not what it is named by.
    """
    fit = fit_of(store, version)
    if not changed_libraries(fit.libraries):
        return
    place, question = f"{model.name}/{FOLDER}", _question(version.id, fit)
    answer = find_answer(store, place, question)
    if answer is None:
        answer = keep_answer(store, place, question, {"problem": _problem(store, model, folder, version)})
    if answer["problem"] is not None:
        raise _error(model.name, version.id, fit, answer["problem"])


def known_problem(store: ObjectStore, version: str, fit: FitRecord) -> LibrariesChanged | None:
    """Return what an earlier check found wrong with a version under the libraries here; nothing is loaded.

    Parameters
    ----------
    version : str
        The version's id.
    fit : FitRecord
        The record of its fit.
    """
    if not changed_libraries(fit.libraries):
        return None
    answer = find_answer(store, f"{fit.model}/{FOLDER}", _question(version, fit))
    return None if answer is None or answer["problem"] is None else _error(fit.model, version, fit, answer["problem"])


def explain(error: RatchetError, version: str, fit: FitRecord) -> RatchetError:
    """Return the error of a version that can't be used, as `LibrariesChanged` if other libraries may be the reason."""
    if isinstance(error, UNUSABLE) and changed_libraries(fit.libraries):
        return _error(fit.model, version, fit, error.message)
    return error


def _problem(store: ObjectStore, model: ModelConfig, folder: Path, version: Version) -> str | None:
    try:
        with open_predictor(store, model, folder, version) as predictor:
            for golden in load_golden(store, model.name, version.id):
                check_golden(predictor, golden)
    except UNUSABLE as error:
        return error.message
    return None


def _question(version: str, fit: FitRecord) -> dict[str, Any]:
    changes = {name: now for name, (_, now) in changed_libraries(fit.libraries).items()}
    return {"version": version, "libraries": {**fit.libraries, **changes}}


def _error(model: str, version: str, fit: FitRecord, problem: str) -> LibrariesChanged:
    changes = changed_libraries(fit.libraries)
    return LibrariesChanged(
        f"{version} can't be used unchanged with the installed libraries ({name_changes(changes)}): {problem.rstrip('.')}. "
        f"Run reproduce_{model} with *rebuild*.",
        expected=", ".join(f"{name} {then}" for name, (then, _) in changes.items()),
        found=", ".join(f"{name} {now}" for name, (_, now) in changes.items()),
        where=f"{model}: {version}",
        remedy=f"trigger reproduce_{model} with *rebuild*, or run `python -m include rebuild {model}`: it trains the version again "
        "with the installed libraries and replaces it, if both predict the same. Until then, the former libraries can be installed again",
    )

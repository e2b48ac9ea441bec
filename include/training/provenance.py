"""Provenance of a fit: the stored declaration and code, with which the fit can be repeated."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from include.config.code import code_behind, file_digests
from include.config.model import ModelConfig
from include.data.derived_columns import derive_columns
from include.data.frames import select
from include.data.snapshots import Snapshot
from include.errors import DataError, ObjectCorrupt, RatchetError, TrainingError
from include.storage.content import canonical_json, digest_json, get_content, put_content
from include.storage.store import ObjectStore
from include.training.declared_recipes import recipe_of
from include.training.fit_record import FitRecord
from include.training.recipe import Recipe

log = logging.getLogger(__name__)

_OLDEST_MEANING = 3
"""What `Recipe.meaning` was at least for fits whose records nothing names by their digest."""


class Provenance:
    """The declaration and the code that a fit was made with, not those that the model's folder holds by now.

    A context, at whose end code that was restored for it is gone.

    Parameters
    ----------
    folder : Path
        The model's folder, whose code is used if it is still the same.

    Raises
    ------
    TrainingError, ObjectMissing, ObjectCorrupt
        When something is asked for, and the fit's record does not say what it came from, or that is damaged.
    """

    def __init__(self, store: ObjectStore, fit: FitRecord, folder: Path) -> None:
        self.fit = fit
        self._store, self._folder, self._until_the_end = store, folder, ExitStack()

    def __enter__(self) -> Provenance:
        return self

    def __exit__(self, *failed: Any) -> None:
        self._until_the_end.close()

    @cached_property
    def declared(self) -> ModelConfig:
        """The declaration that the fit was made under."""
        return config_of(self._store, self.fit)

    @cached_property
    def recipe(self) -> Recipe:
        """The fit's recipe; its members are those that the fit chose, which it has settings of."""
        recipe = recipe_of(self.declared, self.fit.candidate)
        return replace(recipe, members=tuple(one for one in recipe.members if one.name in self.fit.params))

    @cached_property
    def derives(self) -> bool:
        """Whether its training rows went through ``features.derive``: not if the source gave every column that it reads."""
        if self.declared.features.derive is None:
            return False
        schema = Snapshot.load(self._store, self.fit.model, self.fit.snapshot).schema
        return not set(self.recipe.columns) <= set(schema)

    def derive(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return raw rows with the columns that the fit's own code makes of them; raises `DataError`."""
        try:
            return derive_columns(frame, self.declared, self.code)
        except (RatchetError, OSError, MemoryError):
            raise
        except Exception as error:  # the team's own code may raise anything; its words may hold row data
            raise DataError(
                f"`features.derive` raises {type(error).__name__} for such rows",
                where=f"the code that fit {self.fit.key[:12]} was made with",
                remedy="give it columns as they were, or train the recipe again",
            ) from error

    def make(self, raw: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """Return columns of raw rows: what the fit reads as its training rows had it, and of others what the source lacks as its code gives it.

        Parameters
        ----------
        raw : DataFrame
            With every column of the source, unless all that is wanted is among them and `derives` is false.
        """
        wanted = list(columns)
        if self.derives:
            return select(self.derive(raw), wanted, self.fit.model)
        if set(wanted) <= set(raw):
            return raw[wanted]
        made = select(self.derive(raw), [name for name in wanted if name not in raw], self.fit.model)
        return pd.concat([raw[[name for name in wanted if name in raw]], made], axis=1)[wanted]

    @cached_property
    def code(self) -> Path:
        """A folder with that code."""
        return self._until_the_end.enter_context(code_of(self._store, self.fit, self.recipe.functions, self._folder))


def keep_config(store: ObjectStore, model: ModelConfig) -> str:
    """Keep a declaration and return its digest."""
    return put_content(store, f"{model.name}/configs", ".json", canonical_json(model.to_json()))


def keep_code(store: ObjectStore, model: str, files: Mapping[str, bytes]) -> str:
    """Keep files, each under its own digest, and return the digest of their list: `code_digest`."""
    for body in files.values():
        put_content(store, f"{model}/code", ".py", body)
    return put_content(store, f"{model}/code", ".json", canonical_json(file_digests(files)))


@contextmanager
def code_of(store: ObjectStore, fit: FitRecord, functions: Sequence[str], folder: Path) -> Iterator[Path]:
    """Yield a folder with the code that a fit was made with; arguments and errors are those of `code_on_record`.

    Parameters
    ----------
    fit : FitRecord
        The record of the fit; it names the code.
    functions : sequence of str
        Those of the fit's recipe; without any no code on record is opened.
    folder : Path
        The model's folder as it is now.
    """
    if not functions:
        yield folder
        return
    with code_on_record(store, fit.model, fit.code, functions, folder) as code:
        yield code


@contextmanager
def code_on_record(
    store: ObjectStore, model: str, digest: str, functions: Sequence[str], folder: Path
) -> Iterator[Path]:
    """Yield a folder with the recorded code of functions: the model's own folder, or a restored copy if the code has changed.

    A copy is in a separate folder that its modules are named by, so that two copies in one process do not see each other's
    modules.

    Parameters
    ----------
    digest : str
        That of the list of files, by `keep_code`.
    functions : sequence of str
        Each ``module:function``.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
        When the code has changed, and what was kept of it is damaged.
    """
    if digest_json(file_digests(code_behind(folder, functions))) == digest:
        yield folder
        return
    named = "`, `".join(functions)
    log.info("%s: the code of `%s` has changed since; it is used as it was then", model, named)
    with tempfile.TemporaryDirectory(prefix="ratchet-code-") as scratch:
        for name, file in listed_code(store, model, digest).items():
            path = Path(scratch) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(get_content(store, f"{model}/code", ".py", file))
        yield Path(scratch)


def listed_code(store: ObjectStore, model: str, digest: str) -> dict[str, str]:
    """Return the digests of kept files by their path in the model's folder; raises `ObjectMissing`, `ObjectCorrupt`."""
    listed: dict[str, str] = json.loads(get_content(store, f"{model}/code", ".json", digest))
    if outside := [name for name in listed if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]:
        raise ObjectCorrupt("a list of code names a file outside the model's folder", found=f"{len(outside)} files")
    return listed


def config_of(store: ObjectStore, fit: FitRecord) -> ModelConfig:
    """Return the declaration that a fit was made under.

    Raises
    ------
    TrainingError
        When it was made by a release that did not keep it.
    """
    if fit.config is None:
        raise TrainingError(
            "This fit is from a release that did not store declaration, code and domain with a fit.",
            found=f"fit {fit.key[:12]} of {fit.candidate}",
            where=f"model {fit.model}",
            remedy="retrain the model; what it says of the version still holds, but it can't be scored or reproduced",
        )
    body = get_content(store, f"{fit.model}/configs", ".json", fit.config)
    return ModelConfig.from_stored(body)


def verify_fit_key(store: ObjectStore, fit: FitRecord) -> FitRecord:
    """Return a fit whose record is not named by a digest, after its key was verified.

    The key is computed again from declaration, rows, code and libraries, so that none of them, in particular the code, can
    differ from those of the fit.

    Raises
    ------
    ObjectCorrupt
        When another key follows.
    ObjectMissing
    """
    if fit.config is None:
        return fit  # from before declarations were kept: it can't be asked anything, and names no code to run
    recipe = recipe_of(config_of(store, fit), fit.candidate)
    key = recipe.key_with(fit.snapshot, fit.code, fit.libraries)
    earlier = range(_OLDEST_MEANING, recipe.meaning)
    known = (recipe.key_with(fit.snapshot, fit.code, fit.libraries, meaning=meaning) for meaning in earlier)
    if fit.key != key and fit.key not in known:
        raise ObjectCorrupt(
            "the record of a fit does not match its key",
            expected=f"declaration, rows, code and libraries whose key is {fit.key[:12]}",
            found=f"those of another fit, {key[:12]}",
            where=f"{store.url}: {fit.model}/fits/{fit.key}.json",
            remedy="restore the object from a backup, or retrain the model; nothing that it names is used",
        )
    return fit

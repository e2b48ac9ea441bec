"""What a fit came from, kept beside it, so that the record alone is enough to fit it again: declaration and code."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from include.config.code import code_digest, file_digests
from include.config.model import ModelConfig
from include.errors import TrainingError
from include.storage.content import canonical_json, get_content, put_content
from include.storage.store import ObjectStore
from include.training.record import FitRecord

log = logging.getLogger(__name__)


def keep_config(store: ObjectStore, model: ModelConfig) -> str:
    """Keep a declaration and return its digest."""
    return put_content(store, f"{model.name}/configs", ".json", canonical_json(model.to_json()))


def keep_code(store: ObjectStore, model: str, files: Mapping[str, bytes]) -> str:
    """Keep Python files, each under its own digest, and return the digest of their list: `code_digest`."""
    for body in files.values():
        put_content(store, f"{model}/code", ".py", body)
    return put_content(store, f"{model}/code", ".json", canonical_json(file_digests(files)))


@contextmanager
def code_of(store: ObjectStore, fit: FitRecord, derive: str | None, folder: Path) -> Iterator[Path]:
    """Yield a folder with the code that a fit was made with: the model's own, or a copy restored if that has changed.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
        When the code has changed, and what was kept of it is damaged.
    """
    if derive is None or code_digest(folder, derive.partition(":")[0]) == fit.code:
        yield folder
        return
    log.info("%s: the code of `%s` has changed since; it is used as it was then", fit.model, derive)
    with tempfile.TemporaryDirectory(prefix="ratchet-code-") as scratch:
        for name, digest in listed_code(store, fit).items():
            (Path(scratch) / Path(name).name).write_bytes(get_content(store, f"{fit.model}/code", ".py", digest))
        yield Path(scratch)


def listed_code(store: ObjectStore, fit: FitRecord) -> dict[str, str]:
    """Return the digests of the files that a fit was made with, by name; raises `ObjectMissing`, `ObjectCorrupt`."""
    listed: dict[str, str] = json.loads(get_content(store, f"{fit.model}/code", ".json", fit.code))
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
            "This fit is from before declarations, code and domains were kept beside fits.",
            found=f"fit {fit.key[:12]} of {fit.candidate}",
            where=f"model {fit.model}",
            remedy="retrain the model; what it says of the version still holds, but it can't be scored or reproduced",
        )
    body = get_content(store, f"{fit.model}/configs", ".json", fit.config)
    return ModelConfig.from_stored(body)

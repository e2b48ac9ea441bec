"""What a fit came from, kept beside it, so that the record alone is enough to fit it again: declaration and code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from include.config.code import file_digests
from include.config.model import ModelConfig
from include.storage.content import canonical_json, get_content, put_content
from include.storage.store import ObjectStore


def keep_config(store: ObjectStore, model: ModelConfig) -> str:
    """Keep a declaration and return its digest."""
    return put_content(store, f"{model.name}/configs", ".json", canonical_json(model.to_json()))


def load_config(store: ObjectStore, model: str, digest: str) -> ModelConfig:
    """Return the declaration that `keep_config` named ``digest``; raises `ObjectMissing`, `ObjectCorrupt`."""
    return ModelConfig.model_validate_json(get_content(store, f"{model}/configs", ".json", digest))


def keep_code(store: ObjectStore, model: str, files: Mapping[str, bytes]) -> str:
    """Keep Python files, each under its own digest, and return the digest of their list: `code_digest`."""
    for body in files.values():
        put_content(store, f"{model}/code", ".py", body)
    return put_content(store, f"{model}/code", ".json", canonical_json(file_digests(files)))


def restore_code(store: ObjectStore, model: str, listed: Mapping[str, str], folder: Path) -> None:
    """Write the files of a list into a folder; raises `ObjectMissing`, `ObjectCorrupt`."""
    for name, digest in listed.items():
        (folder / Path(name).name).write_bytes(get_content(store, f"{model}/code", ".py", digest))

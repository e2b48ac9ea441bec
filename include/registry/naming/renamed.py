"""A renamed model, whose history stays in the store under its first name."""

from __future__ import annotations

from pathlib import Path

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.rows.segments import ledger_name, owner_of
from include.config.yaml_text import may_name
from include.errors import ConfigError, ObjectMissing
from include.storage.content import get_json, put_json_once
from include.storage.store import ObjectStore


def record_names(store: ObjectStore, model: ModelConfig) -> None:
    """Leave under each later name of a renamed model where its history is; of any other model nothing.

    Who has the store alone, as a notebook has, finds the history by that.

    Raises
    ------
    ConfigError
        When a later name has a history of its own: they would be two.
    """
    for name in (*model.renamed_from[1:], model.declared_name) if model.renamed_from else ():
        if store.exists(f"{name}/ledger/00000000.json"):
            raise ConfigError(
                f"Two names of {model.declared_name} have a history.",
                expected=f"one, of {model.name}, the first name in `renamed_from`",
                found=f"another one of {name}",
                where=f"{store.url}: {name}/ledger",
                remedy="name the first name first. A history that was begun under a later name can't be put behind another one: "
                "take `renamed_from` away to go on with that one",
            )
        put_json_once(store, _key(name), {"store": model.name})


def stored_name(store: ObjectStore, name: str, models: Path | None = None) -> str:
    """Return the name under which the store keeps a model: by its declaration, or by what its runs left there.

    Parameters
    ----------
    models : Path, optional
        The folder of models, where there is one: a model is known by its new name before it ran under it.
    """
    path = None if models is None else models / name / "model.yaml"
    if path is not None and path.exists():
        return load_model(path).name if may_name(path, "renamed_from") else name
    try:
        return str(get_json(store, _key(name))["store"])
    except ObjectMissing:
        return name


def stored_ledger_name(store: ObjectStore, named: str, models: Path | None = None) -> str:
    """Return the name of the ledger that a person means by ``model`` or ``model/segment``, of a renamed model by any of its names."""
    owner = owner_of(named)
    return ledger_name(stored_name(store, owner, models) + named.removeprefix(owner))


def _key(name: str) -> str:
    return f"{name}/renamed_from.json"

"""Load the declared models; an error names file, field, expected and found value, and the nearest spelling."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from include.config.model import ModelConfig
from include.config.yaml_text import may_name, read_yaml_file
from include.errors import ConfigError, RatchetError, nearest


@dataclass(frozen=True)
class BrokenModel:
    """A model whose declaration can't be used, and why."""

    name: str
    error: RatchetError


def load_models(
    folder: Path, *, only: str | None = None, naming: str | None = None
) -> tuple[list[ModelConfig], list[BrokenModel]]:
    """Load every ``<name>/model.yaml`` under ``folder``; an invalid one does not affect the others.

    Parameters
    ----------
    folder : Path
        The folder with one folder a model.
    only : str, optional
        Read this model and no other.
    naming : str, optional
        Pass over files in which this key can't stand, which costs less than to read them.

    Returns
    -------
    models : list of ModelConfig
        Those that can be used, by name.
    broken : list of BrokenModel
        Those that can't.
    """
    models: list[ModelConfig] = []
    broken: list[BrokenModel] = []
    folders = sorted(folder.glob("*/")) if only is None else [folder / only]
    for path in (inner / "model.yaml" for inner in folders):
        if not path.exists() and not path.is_symlink():
            continue
        try:
            if naming is None or may_name(path, naming):
                models.append(load_model(path))
        except RatchetError as error:
            broken.append(BrokenModel(path.parent.name, error))
    return models, broken


def load_model(path: Path) -> ModelConfig:
    """Read one ``model.yaml``.

    Raises
    ------
    ConfigError
        With every mistake of the file in one message.
    """
    where = "/".join(path.parts[-4:])
    try:
        return _read(path, where)
    except RatchetError:
        raise
    except Exception as error:  # any error of one file: an unexpected one must not hide the other models
        raise ConfigError(
            "The file can't be understood.",
            expected="the fields of docs/model-yaml.md, with values of their kinds",
            found=f"{type(error).__name__}: {error}",
            where=where,
            remedy="undo the last change, or remove entries until it is read: the last one removed is the cause",
        ) from error


def _read(path: Path, where: str) -> ModelConfig:
    value, lines = read_yaml_file(path, where)
    if not isinstance(value, dict):
        # Any file may be in this place, so its content is not shown.
        found = {list: "a list", type(None): "nothing"}.get(type(value), "a text or number alone")
        raise ConfigError(
            "The file declares no model.", expected="`name: ...` and the other keys", found=found, where=where
        )
    try:
        model = ModelConfig.model_validate(value)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentences(error, value, lines, where))) from None
    if model.declared_name != path.parent.name:
        raise ConfigError(
            "A model's name and its folder's name differ.",
            expected=path.parent.name,
            found=model.declared_name,
            where=f"{where}:{lines.get(('name',), 1)}, field name",
            remedy="rename one of them; a model that is renamed, folder and `name`, keeps its history by `renamed_from: <its former name>`",
        )
    _require_own_names(model, path, f"{where}:{lines.get(('renamed_from',), 1)}, field renamed_from")
    return model


def _require_own_names(model: ModelConfig, path: Path, where: str) -> None:
    """Refuse a renamed model of which another declaration has a former name: both would write one history."""
    for other in sorted(path.parent.parent.glob("*/model.yaml")) if model.renamed_from else ():
        if other.parent == path.parent:
            continue
        theirs = {other.parent.name}
        if may_name(other, "renamed_from"):
            try:
                declared = read_yaml_file(other, other.parent.name)[0]
            except RatchetError:  # the error is reported for that file
                continue
            former = declared.get("renamed_from") if isinstance(declared, dict) else None
            theirs |= {name for name in (former if isinstance(former, list) else [former]) if isinstance(name, str)}
        if taken := sorted(theirs & {*model.renamed_from, model.declared_name}):
            raise ConfigError(
                "Two models have the same name, and would write to the same ledger.",
                expected="names that no other declaration has, now or as a former one",
                found=f"`{taken[0]}`, which {other.parent.name}/model.yaml also has",
                where=where,
                remedy=f"remove the folder {other.parent.name} if {model.declared_name} is that model renamed, or take the name out here",
            )


def _sentences(error: ValidationError, value: Any, lines: dict[Any, int], where: str) -> Iterator[str]:
    details = error.errors(include_url=False)
    yield f"{where} has {len(details)} mistake{'s' if len(details) > 1 else ''}:"
    for detail in details:
        path = _path_in(value, detail["loc"])
        line = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 1)
        field = ".".join(str(part) for part in path) or "(whole file)"
        yield f"  {where}:{line}, field {field}: {_what(detail, path)}"


def _what(detail: ErrorDetails, path: tuple[str | int, ...]) -> str:
    kind, found = detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "missing":
        return "expected this field, found nothing"
    if kind == "extra_forbidden":
        known = _fields_at(ModelConfig, detail["loc"][:-1])
        close = nearest(str(path[-1]), known)
        return f"unknown field; did you mean `{close}`?" if close else f"unknown field; known here: {', '.join(known)}"
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", ""))
        close = nearest(str(found), expected.replace("'", "").replace(" or ", ", ").split(", "))
        return f"expected {expected}, found {found!r}" + (f"; did you mean `{close}`?" if close else "")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"expected `kind` to be one of {context.get('expected_tags', 'files, sql, python')}, found {context.get('tag', 'none')!r}"
    message = detail["msg"].removeprefix("Value error, ")
    if isinstance(found, dict | list | tuple) or kind == "value_error":
        shown = "" if isinstance(found, dict | list | tuple) else f", found {found!r}"
        return message[:1].lower() + message[1:] + shown
    return f"{message[:1].lower()}{message[1:]}, found {found!r}"


def _path_in(value: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Drop from a Pydantic location what the file does not contain, such as the tag of a union."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(value, dict) and (part in value or last):
            path.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def _fields_at(annotation: Any, loc: tuple[str | int, ...]) -> list[str]:
    """Return the names that may stand at ``loc`` below ``annotation``."""
    for part in (None, *loc):
        if part is not None:
            annotation = _step(annotation, part)
    sections = [a for a in _alternatives(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    return [field.alias or name for section in sections for name, field in section.model_fields.items()]


def _step(annotation: Any, part: str | int) -> Any:
    for alternative in _alternatives(annotation):
        if isinstance(alternative, type) and issubclass(alternative, BaseModel):
            named = {field.alias or name: field.annotation for name, field in alternative.model_fields.items()}
            if part in named:
                return named[str(part)]
            kind = alternative.model_fields.get("kind")
            if kind is not None and get_origin(kind.annotation) is Literal and part in get_args(kind.annotation):
                return alternative
        elif isinstance(part, int) and get_origin(alternative) in (tuple, list):
            return get_args(alternative)[0]
        elif get_origin(alternative) is dict:
            return get_args(alternative)[1]
    return None


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [leaf for arm in get_args(annotation) for leaf in _alternatives(arm)]
    return [annotation]

"""YAML read as YAML 1.2 means it, with the line of every entry.

PyYAML follows YAML 1.1, where ``NO`` is false, ``010`` is eight, ``1e-3`` is text and the last of two equal keys wins.
Each of these has cost somebody a night, so they are not repeated here.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from include.errors import ConfigError

Path = tuple[str | int, ...]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # ten times as fast, where it is built
    """Safe loader with the core schema of YAML 1.2 and no repeated keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)


# A number with a leading zero stays text: it is an id or a mistake, never a quantity.
_RESOLVERS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "float": (
        r"^[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        "-+.0123456789",
    ),
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "merge": (r"^<<$", "<"),
}
for _tag, (_pattern, _first) in _RESOLVERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_yaml(text: str, where: str) -> tuple[Any, dict[Path, int]]:
    """Read one YAML document.

    Returns
    -------
    value : object
        Dicts, lists, texts, numbers, booleans and None.
    lines : dict
        The line, counted from one, on which each entry stands, by its path.

    Raises
    ------
    ConfigError
        When the text is not YAML or a key is repeated.
    """
    lines: dict[Path, int] = {}
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, lines
        _walk(root, (), lines, where)
        return loader.construct_document(root), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            "This is not YAML that can be read.",
            found=f"{error.problem or error.context}",
            where=f"{where}:{mark.line + 1}" if mark else where,
            remedy="check the indentation, and quote texts that hold `: `, `#`, `*` or start with `@`, `%`, `{` or `[`",
        ) from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], where: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            if here in lines:
                raise ConfigError(
                    f"`{key.value}` stands twice in the same place.",
                    expected="every key once",
                    found=f"lines {lines[here]} and {key.start_mark.line + 1}",
                    where=f"{where}:{key.start_mark.line + 1}",
                    remedy="remove one of them",
                )
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, where)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, where)

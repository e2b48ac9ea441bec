"""YAML 1.2 parser that keeps the line of every entry.

PyYAML follows YAML 1.1, where ``NO`` is false, ``010`` is eight, ``1e-3`` is text and the last of two equal keys wins.
This parser does not repeat these mistakes. It builds the values itself, so that any text gives either plain values or a
`ConfigError`: it refuses types that JSON does not have, keys that are lists, anchors that contain themselves or expand
without limit, and nesting that would overflow the stack of the C parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from include.errors import ConfigError

KeyPath = tuple[Any, ...]
"""The keys and positions that lead to an entry."""

_LARGEST = 2**20
_DEEPEST = 50
_MOST = 100_000
"""Entries, counted as often as an alias repeats them: a kilobyte of nested aliases means thousands of millions."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # ten times as fast, where it is built
    """Composes nodes with the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)


_CORE = "tag:yaml.org,2002:"
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
    _Loader.add_implicit_resolver(f"{_CORE}{_tag}", re.compile(_pattern), list(_first))

_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_CORE}str": str,
    f"{_CORE}merge": str,
    f"{_CORE}null": lambda text: None,
    f"{_CORE}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{_CORE}int": int,
    f"{_CORE}float": lambda text: float(re.sub(r"\.(inf|nan)$", r"\1", text, flags=re.IGNORECASE)),
}


def quoted(text: str) -> str:
    """Return a text as it must be written to be read as that text, in quotes if need be."""
    if re.fullmatch(r"[^\W\d]\w*", text) and text.lower() not in ("null", "true", "false"):
        return text
    body = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}" for letter in body)


def may_name(path: Path, key: str) -> bool:
    """Tell whether a key may stand in a file, without parsing it; with a backslash a quoted one may be spelt otherwise."""
    if not path.is_file():
        return True  # reading it says what is wrong
    try:
        with path.open("rb") as file:
            body = file.read(_LARGEST + 1)
    except OSError:
        return True
    return len(body) > _LARGEST or key.encode() in body or b"\\" in body


def read_yaml_file(path: Path, where: str) -> tuple[Any, dict[KeyPath, int]]:
    """Read a file that holds one YAML document; returns and raises what `read_yaml` does."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("This is no file.", expected="a text file", where=where)
        with path.open("rb") as file:
            body = file.read(_LARGEST + 1)
        text = body.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else f"another encoding, at byte {error.start + 1}"
        raise ConfigError("The file can't be read.", expected="UTF-8 text", found=found, where=where) from error
    return read_yaml(text, where)


def read_yaml(text: str, where: str) -> tuple[Any, dict[KeyPath, int]]:
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
        When the text is not YAML, a key is repeated, or it holds what no declaration needs: see the module.
    """
    if len(text) > _LARGEST:
        raise ConfigError("The file is no declaration.", expected=f"at most {_LARGEST:,} letters", where=where)
    lines: dict[KeyPath, int] = {}
    try:
        _check_depth(text, where)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        raise ConfigError(
            "This is not YAML that can be read.",
            found=f"an invalid character: U+{_code(error.character):04X}",
            where=f"{where}:{text.count(chr(10), 0, error.position) + 1}",
            remedy="remove it; files of another encoding or a damaged disk look like this",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        raise ConfigError(
            "This is not YAML that can be read.",
            found=getattr(error, "problem", None) or getattr(error, "context", None) or error,
            where=f"{where}:{mark.line + 1}" if mark else where,
            remedy="check the indentation, and quote texts that hold `: `, `#`, `*` or start with `@`, `%`, `{` or `[`",
        ) from error
    return (None if root is None else _Builder(lines, where).value(root, ())), lines


def most_levels(text: str) -> int:
    """Return a number of levels that the collections of a text can't exceed, at a small part of the cost of counting them."""
    # A bracket begins at most two, as `[a: b]` does. Of the others at most two, a list and the mapping that holds it, begin at the
    # same column, and only indentation and these signs stand before it.
    widest = max(map(len, re.findall(r"[ \t\-?:]+", text)), default=0)
    return 2 * (1 + widest + text.count("[") + text.count("{"))


def _check_depth(text: str, where: str) -> None:
    """Refuse what is nested too deeply or has too many entries, before a parser written in C calls itself for each level."""
    if len(text) < 50_000 and most_levels(text) < 400:  # too short to fill the memory, and any stack bears these levels
        return
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if number > _MOST:
            few = f"fewer than {_MOST:,} keys and values"
            raise ConfigError("The file is no declaration.", expected=few, where=where)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _too_deep(f"{where}:{event.start_mark.line + 1 if event.start_mark else 1}")


def _too_deep(where: str) -> ConfigError:
    return ConfigError(
        "This is nested too deeply.",
        expected=f"at most {_DEEPEST} levels",
        where=where,
        remedy="close each bracket, and let no anchor (`&name`) hold its own alias (`*name`)",
    )


def _code(character: int | str | bytes) -> int:
    return character if isinstance(character, int) else ord(character)


class _Builder:
    """Makes plain values of nodes, and takes down their lines."""

    def __init__(self, lines: dict[KeyPath, int], where: str) -> None:
        self._lines = lines
        self._where = where
        self._entries = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._entries += 1
        if self._entries > _MOST:
            raise self._refuse(node, "The aliases of this file expand too far.", expected=f"at most {_MOST:,} entries")
        if len(path) > _DEEPEST:  # an anchor that contains itself has no end
            raise _too_deep(f"{self._where}:{node.start_mark.line + 1}")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        build = _SCALARS.get(node.tag)
        try:
            if build is not None and isinstance(node, yaml.ScalarNode):
                return self._kept(build(node.value), node)
        except (ValueError, KeyError):
            pass
        kind = node.tag.removeprefix(_CORE)
        raise self._refuse(
            node,
            "This entry is of a type that can't be read.",
            expected="a text, a number, true, false, null, a list, or names with values",
            found=f"`!!{kind}`" if node.tag.startswith(_CORE) else f"`{kind}`",
            remedy="write the value without a type",
        )

    def _kept(self, value: Any, node: yaml.Node) -> Any:
        # Declarations are on record as JSON, which does not hold every number.
        if not isinstance(value, float) or isfinite(value):
            return value
        remedy = "leave out a bound that bounds nothing"
        raise self._refuse(node, "This number can't be kept.", expected="a finite one", found=node.value, remedy=remedy)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refuse(
                    key_node,
                    "A key is a list or a mapping.",
                    expected="a name before each `:`",
                    remedy="quote a text that begins with `{` or `[`; `{{ ... }}` of templates is not filled in here",
                )
            key, line = self._scalar(key_node), key_node.start_mark.line + 1
            here = (*path, key)
            if key in own or (here in self._lines and key_node.tag == f"{_CORE}merge"):
                raise self._refuse(
                    key_node,
                    f"`{key_node.value}` is given twice in the same place.",
                    expected="every key once",
                    found=f"lines {self._lines[here]} and {line}",
                    remedy="remove one of them",
                )
            self._lines[here] = line
            value = self.value(value_node, here)
            if key_node.tag == f"{_CORE}merge":
                merged = self._merged(value, key_node)
            else:
                own[key] = value
        return {**merged, **own}

    def _merged(self, value: Any, node: yaml.Node) -> dict[Any, Any]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._refuse(node, "`<<` can merge mappings only.", expected="`<<: *anchor` of names with values")
        return {key: item for part in reversed(parts) for key, item in part.items()}

    def _refuse(self, node: yaml.Node, message: str, **facts: Any) -> ConfigError:
        return ConfigError(message, **facts, where=f"{self._where}:{node.start_mark.line + 1}")

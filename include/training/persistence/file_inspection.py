"""Inspection of a model file before anything of it is built: its members, sizes, array headers, and every type that it names."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from include.errors import ModelFileRefused
from include.training.persistence.trusted_types import is_trusted
from include.training.persistence.type_names import stored_name

if TYPE_CHECKING:
    pass


SCHEMA_LIMIT = 64 * 2**20
"""Bytes of JSON that are parsed at most; a forest of a thousand trees needs about six million."""

_SPARSE = 9
"""Bytes that a value of a schema takes at least, on average; a fitted pipeline's take about 18."""
_FEW = 100_000
"""Values that may be closer together."""

SCHEMA = "schema.json"
_MEMBER = re.compile(r"[0-9]{1,9}\.npy")


def type_of(node: dict[str, Any]) -> str:
    """Return the dotted path of the type that a node names."""
    return f"{node.get('__module__')}.{node.get('__class__')}"


def nodes_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict that skops could take for a node, in document order; without recursion, for deep schemas."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            # In a fitted pipeline no attribute or key is called so; a file that uses the name otherwise is refused.
            if "__loader__" in here:
                yield here
            waiting.extend(reversed(here.values()))
        elif isinstance(here, list):
            waiting.extend(reversed(here))


def inspect(body: bytes) -> set[str]:
    """Return the types that a file names, all of which are permitted."""
    try:
        with ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            _check_members(entries, len(body))
            text = archive.read(SCHEMA)
            _check_density(text)
            schema = json.loads(text)
            used, types = _check_types(schema)
            names = {entry.filename for entry in entries} - {SCHEMA}
            if used != names:
                raise _refused("members and schema differ", expected=sorted(used)[:5], found=sorted(names)[:5])
            for name in names:
                _check_array(name, archive.read(name))
            return types
    except (BadZipFile, ValueError, RecursionError, NotImplementedError, EOFError, KeyError) as broken:
        raise _refused(f"it can't be read: {type(broken).__name__}") from broken


def _check_members(entries: list[ZipInfo], size: int) -> None:
    names = [entry.filename for entry in entries]
    if strange := [name for name in names if name != SCHEMA and not _MEMBER.fullmatch(name)]:
        raise _refused("a member has a name that no model file has", expected="schema.json, 0.npy", found=strange[0])
    if len(set(names)) != len(names) or SCHEMA not in names:
        raise _refused("a member is there twice or the schema is missing")
    if any(entry.compress_type != ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise _refused("a member is compressed or encrypted", expected="members stored as they are")
    if any(entry.file_size != entry.compress_size for entry in entries) or sum(e.file_size for e in entries) > size:
        raise _refused("members claim more bytes than the file has")
    schema = next(entry.file_size for entry in entries if entry.filename == SCHEMA)
    if schema > SCHEMA_LIMIT:
        raise _refused("the schema is too large", expected=f"at most {SCHEMA_LIMIT} bytes", found=f"{schema} bytes")


def _check_density(text: bytes) -> None:
    """Refuse JSON of millions of empty values, which would take fifty times its bytes."""
    values = sum(text.count(mark) for mark in (b"{", b"[", b","))
    if values > _FEW + len(text) // _SPARSE:
        raise _refused("the schema holds more values than a pipeline of its size", found=f"{values:,}")


def _check_types(schema: Any) -> tuple[set[str], set[str]]:
    """Return the members that a schema names, and the types."""
    from skops.io._protocol import PROTOCOL

    # An older protocol would choose older, laxer readers; the file must not.
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL or "__loader__" not in schema:
        raise _refused("the schema is of another protocol", expected=PROTOCOL)
    used: set[str] = set()
    found: set[str] = set()
    factories: set[int] = set()
    for node in nodes_of(schema):
        loader, name = node["__loader__"], stored_name(type_of(node))
        if not isinstance(loader, str) or not is_trusted(loader, name, factory=id(node) in factories):
            raise _refused(
                "it names a type that is not permitted",
                found=f"{name} ({loader})",
                remedy="model files are written by Ratchet only; find out where this one comes from",
            )
        found.add(name)
        if loader == "DefaultDictNode" and isinstance(node.get("content"), dict):
            factories.add(id(node["content"].get("default_factory")))
        if "file" in node:
            used.add(str(node["file"]))
    return used, found


def _check_array(name: str, body: bytes) -> None:
    from numpy.lib import format as npy

    stream = io.BytesIO(body)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise _refused("an array is written in a way that no model file uses", found=name)
    try:
        shape, _, dtype = readers[version](stream)
    except Exception as broken:  # a header is Python's own syntax, and can fail in as many ways
        raise _refused("an array has a header that can't be read", found=name) from broken
    count = 1
    for length in shape:
        count *= length
    if dtype.hasobject or stream.tell() + count * dtype.itemsize != len(body):
        raise _refused("an array is not as long as its header says, or holds objects", found=name)


def _refused(message: str, **facts: Any) -> ModelFileRefused:
    return ModelFileRefused(f"the model file is refused: {message}", **facts)

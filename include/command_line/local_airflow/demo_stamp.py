"""The inputs of the last successful demo: the same demo again does not start Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from include.config.settings import ROOT
from include.storage.content import digest_json
from include.storage.log import Entry

_PARTS = ("dags", "plugins", "include", "airflow.env", "requirements.txt")


def inputs_digest(models: Path, store_url: str) -> str:
    """Return the identity of everything that a backfill's results follow from: code, declarations, pins and store."""
    files = {str(path): sha256(path.read_bytes()).hexdigest() for path in sorted(_files(models))}
    return digest_json({"files": files, "store": store_url})


def is_current(stamp: Path, inputs: str, entries: tuple[Entry, ...]) -> bool:
    """Tell whether the demo that left ``stamp`` had these inputs, and the ledger still holds what it wrote.

    What was put on record since then, by a run from the form say, does not matter.
    """
    try:
        known = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return False
    events = int(known["events"])
    if known["inputs"] != inputs or not 0 < events <= len(entries):
        return False
    return entries[events - 1].digest == str(known["last"])


def write_stamp(stamp: Path, inputs: str, entries: tuple[Entry, ...]) -> None:
    """Write down that a demo with these inputs succeeded and left the ledger with these events."""
    draft = stamp.with_suffix(".new")
    draft.write_text(
        json.dumps({"inputs": inputs, "events": len(entries), "last": entries[-1].digest if entries else None})
    )
    draft.replace(stamp)


def _files(models: Path) -> Iterator[Path]:
    for part in (*(ROOT / name for name in _PARTS), models):
        for path in [part] if part.is_file() else part.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path

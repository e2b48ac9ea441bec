"""No bytes end a draft, or a run of what was drafted, in a traceback: 2,000 files with a few bytes, cells or lines changed."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import random
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config.load import load_model
from include.data.sources.registry import read
from include.drafting.draft import draft
from include.errors import RatchetError
from tests.include.drafting.test_real_files import DAYS, NOW, TABLE

ROWS = TABLE.head(80)
TYPED = ROWS.assign(day=DAYS.head(80))
CSV = ROWS.to_csv(index=False)
MONTHS = [f"2025-{month:02d}" for month in range(1, 7)]


def workbook() -> bytes:
    body = io.BytesIO()
    TYPED.to_excel(body, index=False)
    return body.getvalue()


def parquet(**settings: object) -> bytes:
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(TYPED, preserve_index=False), body, **settings)
    return body.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return body.getvalue()


CORPUS: dict[str, bytes] = {
    "plain.csv": CSV.encode(),
    "german.csv": ROWS.to_csv(index=False, sep=";", decimal=",").encode("cp1252"),
    "quoted.csv": ROWS.to_csv(index=False, quoting=1).encode(),
    "wide.csv": CSV.encode("utf-16"),
    "rows.csv.gz": gzip.compress(CSV.encode()),
    "rows.csv.xz": lzma.compress(CSV.encode()),
    "rows.csv.zip": zipped({"rows.csv": CSV.encode()}),
    "rows.jsonl": "\n".join(json.dumps(row) for row in ROWS.to_dict("records")).encode(),
    "rows.parquet": parquet(),
    "plain.parquet": parquet(use_dictionary=False, compression="zstd"),
    "rows.xlsx": workbook(),
}
BYTES = (b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"PK\x03\x04", b"\x1f\x8b", b"\\", b"{", b"1e999", b"")
CELLS = (
    *(b'"', b"'", b",", b";", b" ", b"\t", b"\n", b"\r", b"\r\n", b"-", b".", b":", b"/", b"[", b"{", b"<", b"&", b"e", b"0"),
    *(b"NaN", b"null", b"true", b"yes", b"1e400", b"1970", b"0000-00-00", b"9" * 22, b"\xc3\xa9", b"\xa0"),
)  # fmt: skip


def with_bytes_changed(body: bytes, chance: random.Random) -> bytes:
    """Change, cut out, put in or cut off some bytes, whatever they mean."""
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(body) + 1), chance.choice((0, 1, 1, 2, 20, 400))
        new = chance.choice((*BYTES, *CELLS, chance.randbytes(chance.choice((1, 2, 8)))))
        body = body[:place] + new + (b"" if chance.random() < 0.1 else body[place + length :])
    return body


def with_cells_changed(body: bytes, chance: random.Random) -> bytes:
    """Change characters as hands and programs do, and double, replace or break off lines."""
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.5:
            place = chance.randrange(len(body) + 1)
            body = body[:place] + chance.choice(CELLS) + body[place + chance.choice((0, 0, 1, 1, 3)) :]
            continue
        lines = body.split(b"\n")
        old, new = chance.randrange(len(lines)), chance.choice(lines)
        lines[old : old + chance.randrange(2)] = [
            new[: chance.randrange(len(new) + 1)] if chance.random() < 0.5 else new
        ]
        body = b"\n".join(lines)
    return body


def mutated(name: str, seed: int) -> bytes:
    body, chance = CORPUS[name], random.Random(seed)
    if chance.random() < 0.3:
        return with_bytes_changed(body, chance)
    if name.endswith(".gz"):
        return gzip.compress(with_cells_changed(gzip.decompress(body), chance))
    if name.endswith(".xz"):
        return lzma.compress(with_cells_changed(lzma.decompress(body), chance))
    if name.endswith((".zip", ".xlsx")):
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            members = {member: packed.read(member) for member in packed.namelist()}
        member = chance.choice(sorted(members))
        if chance.random() < 0.1:
            del members[member]
        else:
            members[member] = with_cells_changed(members[member], chance)
        return zipped(members)
    return with_cells_changed(body, chance)


def outcome(models: Path, file: Path, event_time: str | None) -> str:
    """Draft, and read what was drafted as a run does; take any answer but a traceback."""
    try:
        made = draft(models, "shop", file, "late", event_time, now=NOW)
    except RatchetError:
        assert not models.exists() or not list(models.iterdir()), "a refused draft leaves nothing behind"
        return "refused"
    model = load_model(made.path)
    try:
        for _ in read(
            model.data, made.path.parent, slots=MONTHS if event_time else [None], recorded={}, connections=None
        ):
            pass
    except RatchetError:
        return "drafted, refused by the run"
    finally:
        shutil.rmtree(made.path.parent)
    return "read"


@pytest.mark.parametrize("hundred", range(20))
def test_no_bytes_end_a_draft_or_its_run_in_a_traceback(tmp_path: Path, hundred: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(100 * hundred, 100 * (hundred + 1)):
        name = sorted(CORPUS)[seed % len(CORPUS)]
        file = tmp_path / name
        file.write_bytes(mutated(name, seed))
        try:
            outcomes[outcome(tmp_path / "models", file, "day" if seed % 2 else None)] += 1
        except Exception as error:
            error.add_note(f"{name}, seed {seed}")
            raise
    assert outcomes["refused"] and outcomes["read"], "some of a hundred files are fit, and some are not"


def test_a_time_beyond_the_years_that_python_knows_is_no_traceback(tmp_path: Path) -> None:
    late = pd.Series([2**60] * 80)
    table = pa.Table.from_pandas(ROWS, preserve_index=False).append_column("closed", pa.array(late, pa.timestamp("us")))
    pq.write_table(table, tmp_path / "rows.parquet")
    assert outcome(tmp_path / "models", tmp_path / "rows.parquet", None) == "read"

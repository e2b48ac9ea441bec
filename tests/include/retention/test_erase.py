"""An erased person is in no byte of the store, what stands goes on, and what can't be reproduced any more says so."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, declare, month, parcels, run_chain

from include.audit.audit import audit
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest, ingest_window
from include.data.request_files import request_key
from include.data.windows import Window
from include.errors import ConfigError
from include.registry.history.policy_replay import rejudge
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.reproduction.reproduce import reproduce
from include.retention.erase import Erased, erase
from include.retention.people import People
from include.scoring.golden import load_golden
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.content import digest
from include.storage.log import Log
from include.storage.store import ObjectStore, PrunableStore
from include.storage.tombstones import State, Tombstones
from tests.faults import FaultyStore, Killed
from tests.worlds import MemoryStore

NAME = "planted-person-4711"
LATER = NOW + timedelta(days=1)
OCTOBER = Window(month(10), month(11))
PEOPLE = People(("customer",), frozenset({(NAME,)}))


@dataclass(frozen=True)
class World:
    """A model with one version, scores and a request, in all of which a person has rows."""

    store: PrunableStore
    folder: Path
    model: ModelConfig
    theirs: frozenset[int]

    def on(self, store: PrunableStore) -> World:
        for key in self.store.list(""):
            store.put_if_absent(key, self.store.get(key))
        return World(store, self.folder, self.model, self.theirs)

    def erase(self, *, remove: bool = True, store: PrunableStore | None = None) -> Erased:
        return erase(store or self.store, self.model, PEOPLE, at=LATER, remove=remove)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    @property
    def champion(self) -> str:
        champion = self.ledger.timeline().champion
        assert champion is not None
        return champion

    def holding(self) -> set[str]:
        """Return the keys of all objects with a byte of theirs, unpacked: the name anywhere, the numbers in any table."""
        found = set()
        for key in self.store.list(""):
            for body in unpacked(self.store.get(key)):
                if NAME.encode() in body:
                    found.add(key)
            if key.endswith(".parquet"):
                table = pq.read_table(pa.BufferReader(self.store.get(key)))
                numbers = table["parcel"].to_pylist() if "parcel" in table.column_names else []
                if self.theirs & set(numbers) or NAME in str(table.to_pydict()):
                    found.add(key)
        return found


def unpacked(body: bytes) -> Iterator[bytes]:
    yield body
    if body[:2] == b"PK":
        with ZipFile(BytesIO(body)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif body[:2] == b"\x1f\x8b":
        yield zlib.decompress(body, 31)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("erase") / "parcels"
    rows = parcels()
    rows["customer"] = [NAME if place % 5 == 0 else f"customer {place % 90}" for place in range(len(rows))]
    rows["parcel"] += 770_000_000
    model, store = declare(folder, rows), MemoryStore()
    run_chain(store, model, folder, month(4))
    score_october(store, model, folder)
    asked = rows[rows["sent_at"] > month(10)].head(10)[["parcel", "weight"]]
    sink = BytesIO()
    pq.write_table(pa.Table.from_pandas(asked, preserve_index=False), sink)
    store.put_if_absent(request_key("parcels", month(10), digest(sink.getvalue())), sink.getvalue())
    world = World(store, folder, model, frozenset(rows.loc[rows["customer"] == NAME, "parcel"]))
    assert {key.split("/")[1] for key in world.holding()} == {"partitions", "scores", "requests", "golden"}
    # The person is gone from the source, as whoever erases sees to first.
    pd.read_parquet(folder / "rows.parquet").query("customer != @NAME").to_parquet(folder / "rows.parquet", index=False)
    return world


@pytest.fixture
def world(made: World) -> World:
    return made.on(MemoryStore())


def score_october(store: ObjectStore, model: ModelConfig, folder: Path) -> Any:
    snapshot = ingest_window(store, model, folder, OCTOBER, at=NOW, connections=None)  # type: ignore[arg-type]
    return score(store, model, folder, snapshot, at=NOW)


def test_a_misspelt_column_is_no_answer_that_nobodys_rows_are_there(world: World) -> None:
    for columns, meant in (
        (("custmer",), "did you mean `customer`"),
        (("customer", "sentat"), "did you mean `sent_at`"),
    ):
        with pytest.raises(ConfigError, match=meant):
            erase(world.store, world.model, People(columns, frozenset({(NAME,) * len(columns)})), at=LATER)
    nobody = erase(world.store, world.model, People(("customer",), frozenset({("nobody",)})), at=LATER)
    assert nobody.told().startswith("No stored row is about these people.")


def test_nothing_is_changed_unless_it_is_asked_for(world: World) -> None:
    before = {key: world.store.get(key) for key in world.store.list("")}
    told = world.erase(remove=False)
    assert {key: world.store.get(key) for key in world.store.list("")} == before
    assert set(told.rows) == {"partitions", "scores", "requests", "golden"} and told.versions == (world.champion,)
    assert "would be taken" in told.told() and NAME not in told.told()


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_an_erased_person_is_in_no_byte_of_either_store(made: World, kind: str, request: pytest.FixtureRequest) -> None:
    world = made.on(request.getfixturevalue(f"{kind}_store"))
    told = world.erase()
    assert world.holding() == set()
    assert told.objects.keys() == told.rows.keys() == {"partitions", "scores", "requests", "golden"}
    again = world.erase()
    assert again.rows == {} and "No stored row is about these people" in again.told()


def test_what_stands_goes_on_and_what_can_not_be_reproduced_says_so(world: World) -> None:
    judged = [one.outcome for one in rejudge(world.ledger)]
    before = Publication(world.store, "parcels", OCTOBER).newest()
    golden = load_golden(world.store, "parcels", world.champion)[0].num_rows
    world.erase()
    publication = Publication(world.store, "parcels", OCTOBER)
    manifest = publication.newest()
    assert manifest is not None and before is not None and manifest.rows < before.rows
    assert publication.read(manifest).num_rows == manifest.rows
    assert 0 < sum(one.num_rows for one in load_golden(world.store, "parcels", world.champion)) < golden
    assert [one.outcome for one in rejudge(world.ledger)] == judged
    found = {one.what: one for one in verify(world.ledger, world.folder)}
    assert all(one.state != "wrong" for one in found.values())
    assert "removed on 2026-01-02: erasure" in found[world.champion].found
    looked = audit(world.store, world.model, world.folder, run="after", calls=10**6, at=LATER)
    assert looked.complete and not looked.wrong
    report = reproduce(
        world.store,
        world.model,
        world.folder,
        world.champion,
        at=LATER,
        connections=None,  # type: ignore[arg-type]
    )
    assert report.made_file is None and "erasure: rows of people" in str(report.why)


@pytest.mark.parametrize("corrections", ["as_now_known", "as_known_then"])
def test_rows_are_pinned_without_them_whenever_a_run_stands(world: World, corrections: str) -> None:
    world.erase()
    data = world.model.data.model_copy(update={"corrections": corrections})
    model = world.model.model_copy(update={"data": data})
    snapshot = ingest(
        world.store,
        model,
        world.folder,
        as_of=month(4),
        at=LATER,
        connections=None,  # type: ignore[arg-type]
    )
    pinned = [one for one in snapshot.partitions if one.rows]
    assert pinned
    for one in pinned:
        assert (
            NAME
            not in pq.read_table(pa.BufferReader(world.store.get(snapshot.partition_key(one))))["customer"].to_pylist()
        )
    run_chain(world.store, model, world.folder, month(5))
    score_october(world.store, model, world.folder)
    assert world.holding() == set()


def test_each_tombstone_names_what_stands_instead(world: World) -> None:
    held = world.holding()
    world.erase()
    stones = Tombstones(world.store, "parcels").read()
    assert stones.keys() == held
    for one in stones.values():
        assert one.state is State.REMOVED and one.instead is not None and world.store.exists(one.instead)


def test_an_erasure_that_is_killed_at_any_call_ends_as_one_that_was_not(world: World) -> None:
    whole = world.on(MemoryStore())
    counted = FaultyStore(whole.store)
    whole.erase(store=counted)
    for call in range(1, counted.calls + 1):
        killed = world.on(MemoryStore())
        with pytest.raises(Killed):
            killed.erase(store=FaultyStore(killed.store, fail_at=call, mode=("before", "after")[call % 2]))
        killed.erase()
        assert killed.holding() == set(), call
        parquet = {key for key in killed.store.list("") if key.endswith(".parquet")}
        assert parquet == {key for key in whole.store.list("") if key.endswith(".parquet")}
        newest = Publication(killed.store, "parcels", OCTOBER).newest()
        assert newest == Publication(whole.store, "parcels", OCTOBER).newest()
        assert removals(killed) == removals(whole), "each is said once"


def removals(world: World) -> list[Any]:
    log = Log(world.store, "parcels/tombstones/log").read()
    return [(one.kind, one.body) for one in log]


@pytest.mark.parametrize("text", ["", "customer\n", "customer,parcel\na\n"])
def test_a_file_that_does_not_say_whom_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text(text)
    with pytest.raises(ConfigError, match="file of ids"):
        People.read(tmp_path / "ids.csv")


UTC_TIME = pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("kind", "stored", "given", "theirs"),
    [
        (pa.int64(), [7, 8, None], "007", [True, False, False]),
        (pa.int64(), [7, 8, None], " 7.0", [True, False, False]),
        (pa.int64(), [9007199254740993, 9007199254740992], "9007199254740993.0", [True, False]),
        (pa.int8(), [7, 44], "300", [False, False]),
        (pa.float64(), [7.0, 7.5], "7", [True, False]),
        (pa.string(), ["007", "7", None], "7", [False, True, False]),
        (pa.dictionary(pa.int32(), pa.string()), ["007", "7"], "007", [True, False]),
        (pa.bool_(), [True, False], "TRUE", [True, False]),
        (UTC_TIME, [datetime(2024, 5, 1, 8, tzinfo=UTC), None], "2024-05-01T10:00:00+02:00", [True, False]),
        (pa.null(), [None], "7", [False]),
    ],
    ids=str,
)
def test_a_value_is_found_however_its_column_writes_it(kind: Any, stored: Any, given: str, theirs: list[bool]) -> None:
    table = pa.table({"customer": pa.array(stored).cast(kind)})
    found = People(("customer",), frozenset({(given,), ("x y",)})).rows(table)
    assert found is not None and found.to_pylist() == theirs


def test_rows_that_a_later_file_keeps_in_another_type_are_found_by_their_id(world: World) -> None:
    """The source sent parcels as integers; a log of requests has them as a caller sent them."""
    (key,) = [key for key in world.store.list("parcels/requests/") if key.endswith(".parquet")]
    table = pq.read_table(pa.BufferReader(world.store.get(key)))
    sink = BytesIO()
    pq.write_table(table.set_column(0, "parcel", table["parcel"].cast(pa.float64())), sink)
    world.store.put_if_absent(request_key("parcels", month(10), digest(sink.getvalue())), sink.getvalue())
    assert world.erase(remove=False).objects["requests"] == 2


@pytest.mark.parametrize("line", ["2024-05-01T08:00:00", "yesterday"])
def test_lines_of_which_none_is_a_value_of_its_column_are_no_answer(world: World, line: str) -> None:
    with pytest.raises(ConfigError, match="No line of the file of ids") as error:
        erase(world.store, world.model, People(("sent_at",), frozenset({(line,)})), at=LATER)
    assert "sent_at: timestamp" in str(error.value) and "with their offset" in str(error.value)

"""What was found by looking at the planes and their register, held; and that its clusters serve for months and for scoring."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from chain_run import NOW, run_chain

from include.config.code import load_function
from include.config.load import load_model
from include.config.settings import ROOT
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.registry.ledger import Ledger
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.local import LocalStore

FOLDER = ROOT / "include" / "models" / "aircraft_segments"


def first_of(month: int) -> datetime:
    return datetime(2013 + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def planes() -> pd.DataFrame:
    rows: pd.DataFrame = load_function(FOLDER, "source:read")(first_of(1), first_of(13))
    return rows


def test_a_row_is_a_plane_in_a_month_and_is_known_when_the_month_is_over(planes) -> None:
    assert not planes.duplicated(["plane", "month_end"]).any()
    seconds = sorted(planes["month_end"].unique())
    assert [second + pd.Timedelta("1s") for second in seconds] == [pd.Timestamp(first_of(n)) for n in range(2, 14)]


def test_a_month_is_the_same_whichever_months_are_read_with_it(planes) -> None:
    march = load_function(FOLDER, "source:read")(first_of(3), first_of(4))
    again = planes[planes["month_end"] == march["month_end"].iloc[0]]
    pd.testing.assert_frame_equal(march, again.reset_index(drop=True))


def test_every_flight_that_left_counts_once_where_its_plane_is_in_the_register(planes) -> None:
    # 8,255 of 336,776 flights never left, 48,550 had a plane that is not in the register, 82 left in January (UTC) of 2014.
    assert planes["flights"].sum() == 336_776 - 8_255 - 48_550 - 82
    assert planes["plane"].nunique() == 3_316


def test_nothing_counts_that_is_known_only_after_departure(planes) -> None:
    assert not {"arr_delay", "air_time", "arr_time", "hours"} & set(planes.columns)


def test_two_errors_of_the_register_are_corrected_and_families_have_the_names_that_people_use(planes) -> None:
    derived = load_function(FOLDER, "features:derive")(planes)
    by_model = derived.groupby("model")[["seats", "cabin", "family"]].first()
    assert by_model.loc["ERJ 190-100 IGW"].tolist() == [20, 100, "Embraer 190"]
    assert by_model.loc["A321-231"].tolist() == [379, 199, "Airbus A321"]
    other = ~derived["model"].isin(["ERJ 190-100 IGW", "A321-231"])
    assert (derived["cabin"] == derived["seats"])[other].all()
    assert (derived["family"] == "other").mean() < 0.02
    assert derived["age"].dropna().between(0, 60).all()


@pytest.mark.system  # minutes: each month fits and refits every candidate
def test_over_months_clusters_keep_what_a_person_would_call_them_and_the_next_month_is_scored(tmp_path: Path) -> None:
    store, model = LocalStore(tmp_path / "store"), load_model(FOLDER / "model.yaml")
    done = [run_chain(store, model, FOLDER, first_of(month)) for month in (6, 7)]
    assert [one["decide"]["outcome"] for one in done] == ["PROMOTE"] * 2
    ledger = Ledger(store, model.name)
    for standing in ledger.timeline().standings:
        assert standing.decision is not None
        evidence = ledger.compare(standing.decision).evidence
        assert {wire.state for wire in evidence.tripwires or ()} <= {"clear", "not_asked"}
        by_size = sorted(
            (one for one in evidence.clusters if one.number is not None), key=lambda one: one.means["cabin"]
        )
        regional, seldom, often, wide = by_size
        assert regional.means["cabin"] < 90 and wide.means["cabin"] > 300
        assert wide.modes["family"].startswith("Boeing 767") and wide.means["distance"] > 2_000
        assert seldom.modes["airline"].startswith("Southwest") and seldom.means["flights"] < 4
        assert often.means["flights"] > 10 and regional.means["flights"] > 10
    window = Window(first_of(7), first_of(8))
    snapshot = ingest_window(store, model, FOLDER, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(store, model, FOLDER, snapshot, at=NOW)
    assert manifest is not None and manifest.version == ledger.timeline().champion
    scores = Publication(store, model.name, window).read(manifest).to_pandas()
    assert scores["plane"].is_unique and len(scores) > 2_500 and set(scores["prediction"]) == {0, 1, 2, 3}
    assert scores["out_of_domain"].mean() < 0.05  # planes that the register has as private ones, among others

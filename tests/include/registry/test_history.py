"""What a page tells of a ledger: fates, who was in force when, what needs a person, what differs."""

from __future__ import annotations

from datetime import UTC, datetime

from histories import tell
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import FLIGHTS, NOW, MemoryStore

from include.registry import charts
from include.registry.differences import differences
from include.registry.dossier import gather
from include.registry.history import Fate, History, history, needs, reigns
from include.registry.ledger import Ledger


def told(versions: int, withdraw: int | None = None) -> tuple[MemoryStore, History]:
    store = MemoryStore()
    tell(store, versions=versions, withdraw=withdraw)
    return store, history("flight_delay", Ledger(store, "flight_delay").timeline())


def test_a_withdrawn_version_is_told_as_withdrawn_and_the_one_before_it_is_in_force_until_the_next():
    _, of = told(5, withdraw=2)
    assert [chapter.fate for chapter in of.chapters] == [
        Fate.PROMOTED,
        Fate.HELD,
        Fate.WITHDRAWN,
        Fate.REJECTED,
        Fate.PROMOTED,
    ]
    assert [(chapter.as_of, until) for chapter, _, until in reigns(of)] == [
        (of.chapters[0].as_of, of.chapters[4].as_of),
        (of.chapters[4].as_of, None),
    ]
    assert of.champion is of.chapters[4]
    assert of.chapters[2].verdict.startswith("Withdrawn: late feed.")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 14), st.data())
def test_reigns_say_what_the_timeline_says(versions, data):
    withdraw = data.draw(st.none() | st.integers(0, versions - 1)) if versions else None
    store, of = told(versions, withdraw)
    timeline = Ledger(store, "flight_delay").timeline()
    assert [(begin, chapter.id) for chapter, begin, _ in reigns(of)] == timeline.champions()
    assert (of.champion.id if of.champion else None) == timeline.champion


def test_verdicts_are_one_sentence_that_names_the_metric_as_people_do():
    _, of = told(1)
    assert of.chapters[0].verdict.startswith("Promoted: ROC AUC better than")


def test_a_champion_that_three_scheduled_retrainings_did_not_replace_needs_a_look():
    _, of = told(4)
    ((kind, sentence),) = needs(FLIGHTS, of, NOW)
    assert kind == "stale"
    assert (
        sentence == "its champion stands since 30 June 2013: 1 newer version did not replace it, the last one rejected."
    )
    assert not list(needs(FLIGHTS, of, datetime(2013, 8, 31, tzinfo=UTC)))


def test_versions_without_a_champion_need_a_look_but_a_model_without_versions_does_not():
    assert [kind for kind, _ in needs(FLIGHTS, told(1, withdraw=0)[1], NOW)] == ["no champion"]
    assert not list(needs(FLIGHTS, History("flight_delay", ()), NOW))


def test_every_version_has_a_mark_inside_the_picture_and_backfilled_ones_are_told_apart():
    _, of = told(12, withdraw=0)
    chart, trend = charts.history_chart(of), charts.trend_chart(of)
    assert chart is not None and trend is not None
    assert (
        [mark.chapter.id for mark in chart.marks]
        == [mark.chapter.id for mark in trend.marks]
        == [c.id for c in of.chapters]
    )
    assert all(charts.LEFT <= mark.x <= charts.RIGHT and 0 < mark.y < chart.height for mark in chart.marks)
    assert all(mark.bottom > mark.y > mark.top for mark in trend.marks)
    assert sum(chapter.backfilled for chapter in of.chapters) == 6


def test_there_is_no_picture_of_nothing():
    nothing = History("flight_delay", ())
    assert charts.history_chart(nothing) is charts.trend_chart(nothing) is None
    assert charts.sparkline(nothing) == ""


def test_only_what_differs_between_two_versions_is_shown():
    store, of = told(3)
    one, two, three = (gather(store, "flight_delay", chapter.standing) for chapter in of.chapters)
    assert differences(one, one) == {}
    between = differences(one, two)
    assert set(between) == {"Recipe", "Data", "Environment"}
    assert [(row.name, row.one, row.other) for row in between["Recipe"]] == [("max_iter", "200", "201")]
    assert [row.name for row in between["Environment"]] == ["scikit-learn"]
    assert set(differences(one, three)) == {"Data"}

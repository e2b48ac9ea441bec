"""What a page tells of a ledger: statuses, who was in force when, what needs a person, what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from histories import tell
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import FLIGHTS, NOW, MemoryStore

from include.evaluation.gains import Measured
from include.evaluation.report.scales import Scale
from include.registry.history import charts
from include.registry.history.recorded_measures import compared, judged_since, later, load_measurement
from include.registry.history.summary import (
    History,
    VersionStatus,
    attention_needed,
    champion_periods,
    history,
    scheduled_since,
)
from include.registry.history.version_details import version_details
from include.registry.history.version_differences import differences
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.storage.content import to_iso
from include.storage.log import Log


def told(versions: int, withdraw: int | None = None) -> tuple[MemoryStore, History]:
    store = MemoryStore()
    tell(store, versions=versions, withdraw=withdraw)
    return store, history("flight_delay", Ledger(store, "flight_delay").timeline())


def scores(of: History) -> dict[str, Measured]:
    return {summary.id: Measured(*summary.score) for summary in of.versions}


def test_a_withdrawn_version_is_told_as_withdrawn_and_the_one_before_it_is_in_force_until_the_next():
    _, of = told(5, withdraw=2)
    assert [summary.status for summary in of.versions] == [
        VersionStatus.PROMOTED,
        VersionStatus.HELD,
        VersionStatus.WITHDRAWN,
        VersionStatus.REJECTED,
        VersionStatus.PROMOTED,
    ]
    assert list(champion_periods(of)) == [(of.versions[0], of.versions[4]), (of.versions[4], None)]
    assert of.champion is of.newest is of.versions[4]
    assert of.versions[2].verdict.startswith("Withdrawn: late feed.")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 14), st.data())
def test_champion_periods_say_what_the_timeline_says(versions, data):
    withdraw = data.draw(st.none() | st.integers(0, versions - 1)) if versions else None
    store, of = told(versions, withdraw)
    timeline = Ledger(store, "flight_delay").timeline()
    assert [(summary.as_of, summary.id) for summary, _ in champion_periods(of)] == timeline.champions()
    assert (of.champion.id if of.champion else None) == timeline.champion


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 14), st.data())
def test_champion_periods_say_what_the_timeline_says_after_a_held_version_was_promoted_later(versions, data):
    """Told in months: from when on is its second look's as-of, so that nobody is in force from March to February."""
    store, _ = told(versions)
    ledger = Ledger(store, "flight_delay")
    held = [s for s in ledger.timeline().standings if s.decision is not None and s.decision.outcome == "HOLD"]
    standing = data.draw(st.sampled_from(held))
    look = standing.as_of + timedelta(days=data.draw(st.integers(1, 400)))
    assert standing.decision is not None
    promoted = replace(standing.decision, outcome=Outcome.PROMOTE, as_of=to_iso(look))
    Log(store, "flight_delay/ledger/").append(lambda _: ("decided", promoted.to_json()), at=to_iso(NOW))
    timeline = ledger.timeline()
    of = history("flight_delay", timeline)
    assert [(summary.since, summary.id) for summary, _ in champion_periods(of)] == timeline.champions()
    for summary, following in champion_periods(of):
        assert summary.until == (None if following is None else following.since)
        assert following is None or summary.since < following.since
    assert (of.champion.id if of.champion else None) == timeline.champion
    chart = charts.history_chart(of)
    assert chart is not None
    assert all(
        champion_period.x >= charts.LEFT and champion_period.x + champion_period.width <= charts.RIGHT + 1
        for champion_period in chart.champion_periods
    )
    assert all(charts.LEFT <= mark.x <= charts.RIGHT for mark in chart.marks)


def test_verdicts_are_one_sentence_that_names_the_metric_as_people_do():
    _, of = told(1)
    assert of.versions[0].verdict.startswith("Promoted: ROC AUC better than")


def test_a_champion_that_three_scheduled_retrainings_did_not_replace_needs_a_look():
    _, of = told(4)
    ((kind, sentence),) = attention_needed(FLIGHTS, of, NOW)
    assert kind == "stale"
    assert (
        sentence == "its champion stands since 30 June 2013: 1 newer version did not replace it, the last one rejected."
    )
    assert not list(attention_needed(FLIGHTS, of, datetime(2013, 8, 31, tzinfo=UTC)))


def test_scheduled_retrainings_are_counted_up_to_now_or_to_the_end_of_the_schedule():
    schedule = FLIGHTS.schedule.model_copy(update={"retrain": "@monthly", "start": datetime(2013, 5, 1, tzinfo=UTC)})
    since, now = datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 12, 15, tzinfo=UTC)
    for end, expected in ((None, 6), (datetime(2014, 1, 1, tzinfo=UTC), 6), (datetime(2013, 9, 15, tzinfo=UTC), 3)):
        model = FLIGHTS.model_copy(update={"schedule": schedule.model_copy(update={"end": end})})
        assert scheduled_since(model, since, now, at_most=99) == expected, end


def test_versions_without_a_champion_need_a_look_but_a_model_without_versions_does_not():
    assert [kind for kind, _ in attention_needed(FLIGHTS, told(1, withdraw=0)[1], NOW)] == ["no champion"]
    assert not list(attention_needed(FLIGHTS, History("flight_delay", ()), NOW))


def test_every_version_has_a_mark_inside_the_picture_and_backfilled_ones_are_told_apart():
    _, of = told(12, withdraw=0)
    chart, trend = charts.history_chart(of), charts.trend_chart(of, "roc_auc", scores(of))
    assert chart is not None and trend is not None
    assert (
        [mark.summary.id for mark in chart.marks]
        == [mark.summary.id for mark in trend.marks]
        == [c.id for c in of.versions]
    )
    assert all(charts.LEFT <= mark.x <= charts.RIGHT and 0 < mark.y < chart.height for mark in chart.marks)
    assert all(mark.bottom > mark.y > mark.top for mark in trend.marks)
    assert sum(summary.backfilled for summary in of.versions) == 6


def test_there_is_no_picture_of_nothing():
    nothing = History("flight_delay", ())
    assert charts.history_chart(nothing) is charts.trend_chart(nothing, "roc_auc", {}) is None
    assert charts.sparkline(nothing) is None


STEPS = st.sampled_from([timedelta(seconds=20), timedelta(minutes=7), timedelta(hours=5), timedelta(days=1)])


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 40), STEPS, st.integers(1, 900), st.integers(0, 4000), st.booleans())
def test_no_two_labels_under_a_picture_collide(versions, unit, times, since, timeless):
    store = MemoryStore()
    first = datetime(2013, 1, 3, 9, 30, tzinfo=UTC) + timedelta(days=since)
    step = min(unit * times, timedelta(days=700))
    tell(store, versions=versions, first=first, step=step)
    of = history("flight_delay", Ledger(store, "flight_delay").timeline())
    chart = charts.history_chart(of, timeless=timeless)
    assert chart is not None and chart.ticks
    for left, right in pairwise(chart.ticks):
        assert left.at + len(left.label) * 3.3 < right.at - len(right.label) * 3.3, (left, right)
    for champion_period in chart.champion_periods:
        assert not champion_period.label or len(champion_period.label) * 6.6 + 7 <= champion_period.width
    assert chart.ticks[-1].at + len(chart.ticks[-1].label) * 3.3 <= charts.WIDTH


@settings(max_examples=300)
@given(st.floats(-100, 100), st.floats(1e-4, 1e10), st.sampled_from([(6.0, 234.0, 4), (46.0, 348.0, 5)]))
def test_no_two_labels_of_a_scale_collide(place, width, box):
    low = place * width
    start, end, count = box
    ticks = Scale(low, low + width, start, end).ticks(count)
    for left, right in pairwise(ticks):
        assert left.at + len(left.label) * 3.1 <= right.at - len(right.label) * 3.1, ticks
    assert len({tick.label for tick in ticks}) == len(ticks)


def test_a_table_without_time_has_a_step_a_version_and_each_promoted_one_its_turn():
    store = MemoryStore()
    tell(store, versions=5, step=timedelta(0))
    of = history("flight_delay", Ledger(store, "flight_delay").timeline())
    chart = charts.history_chart(of, timeless=True)
    assert chart is not None
    places = [mark.x for mark in chart.marks]
    assert len({round(right - left) for left, right in pairwise(places)}) == 1 and places == sorted(places)
    assert [champion_period.summary for champion_period in chart.champion_periods] == [
        c for c in of.versions if c.standing.in_line
    ]
    assert all(champion_period.width > 50 for champion_period in chart.champion_periods)


def test_rolled_back_the_champion_gives_way_to_the_version_before_it():
    store, of = told(5)
    assert of.champion is of.versions[4] and of.next_in_line is of.versions[2]
    after = history("flight_delay", Ledger(store, "flight_delay").timeline())
    assert told(1)[1].next_in_line is None and after.next_in_line is not None
    body = {"version": of.versions[4].id, "reason": "late feed", "actor": {"trigger": "manual"}}
    Log(store, "flight_delay/ledger/").append(lambda _: ("withdrawn", body), at="2026-01-02T00:00:00Z")
    (rolled_back,) = {history("flight_delay", Ledger(store, "flight_delay").timeline()).champion.id}
    assert rolled_back == of.next_in_line.id


def test_the_champion_is_followed_on_each_later_holdout_where_it_was_the_incumbent():
    store, of = told(5)
    champion = of.versions[2]
    since = judged_since(of, champion)
    assert since == list(of.versions[3:5])
    read = [load_measurement(store, "flight_delay", c.standing.decision.evidence) for c in (champion, *since)]
    found = later(read[0], list(zip(since, read[1:], strict=True)), "roc_auc")
    assert [one.measured.value for one in found] == [c.score[0] - 0.01 for c in since]
    assert {one.standing for one in found} == {"as before"}
    assert not later(read[0], [(since[0], read[0])], "roc_auc"), "its own rows are no later ones"
    assert not later(read[0], list(zip(since, read[1:], strict=True)), "f1")


@pytest.mark.parametrize(("metric", "falls"), [("rmse", "better"), ("roc_auc", "worse")])
def test_what_falls_is_good_or_bad_by_its_metric_and_nothing_where_the_intervals_meet(metric, falls):
    high, low, between = Measured(60.0, 58.0, 62.0), Measured(50.0, 48.0, 52.0), Measured(55.0, 51.0, 59.0)
    assert compared(high, low, metric) == falls
    assert compared(low, high, metric) == {"better": "worse", "worse": "better"}[falls]
    assert compared(high, between, metric) == compared(None, low, metric) == "as before"


def test_only_what_differs_between_two_versions_is_shown():
    store, of = told(3)
    one, two, three = (version_details(store, "flight_delay", summary.standing) for summary in of.versions)
    assert differences(one, one) == {}
    between = differences(one, two)
    assert set(between) == {"Recipe", "Data", "Environment"}
    assert [(row.name, row.one, row.other) for row in between["Recipe"]] == [("max_iter", "200", "201")]
    assert [row.name for row in between["Environment"]] == ["scikit-learn"]
    assert set(differences(one, three)) == {"Data"}

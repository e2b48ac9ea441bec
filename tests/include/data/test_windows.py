from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.config.durations import Duration
from include.config.sections.data import Windows
from include.config.sections.sources import Slot
from include.data.slots import bounds, slot_of, slots_between
from include.data.windows import Split, split_at

SPANS = st.builds(
    lambda n, unit: Duration(f"{n}{unit}"), st.integers(1, 40), st.sampled_from(["mo", "w", "d", "h", "min"])
)
DELAYS = st.one_of(st.just(Duration("0s")), SPANS)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))


@given(as_of=INSTANTS, train=SPANS, holdout=SPANS, delay=DELAYS, back=st.timedeltas(timedelta(0), timedelta(days=900)))
def test_every_instant_of_a_window_is_mature_when_it_has_to_be(as_of, train, holdout, delay, back) -> None:
    split = split_at(as_of, Windows(train=train, holdout=holdout), delay)
    assert split.train.after < split.train.until <= split.holdout.after < split.holdout.until <= as_of
    assert (split.holdout.until - back) + delay <= as_of
    assert (split.train.until - back) + delay <= split.holdout.after


def test_months_are_calendar_months() -> None:
    split = split_at(
        datetime(2013, 8, 1, tzinfo=UTC), Windows(train=Duration("4mo"), holdout=Duration("1mo")), Duration("1d")
    )
    assert split.holdout.until == datetime(2013, 7, 31, tzinfo=UTC)
    assert split.holdout.after == datetime(2013, 6, 30, tzinfo=UTC)
    assert split.train.until == datetime(2013, 6, 29, tzinfo=UTC)
    assert Split.from_json(split.to_json()) == split


def test_an_as_of_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        split_at(datetime(2013, 8, 1), Windows(train=Duration("4mo"), holdout=Duration("1mo")), Duration("1d"))


@given(instant=INSTANTS, length=st.sampled_from(Slot))
def test_a_slot_holds_its_instants_and_meets_the_next_one(instant, length) -> None:
    start, end = bounds(slot_of(instant, length))
    assert start <= instant < end
    assert slot_of(end, length) != slot_of(start, length)
    assert list(slots_between(start, end - timedelta(microseconds=1), length)) == [slot_of(start, length)]


@given(
    as_of=INSTANTS,
    length=st.sampled_from(Slot),
    delay=st.sampled_from([Duration("0s"), Duration("1h"), Duration("2d")]),
)
def test_the_slots_of_a_window_are_those_that_hold_one_of_its_instants(as_of, length, delay) -> None:
    window = split_at(as_of, Windows(train=Duration("3d"), holdout=Duration("30h")), delay).holdout
    slots = window.slots(length)
    assert slots[0] == slot_of(window.after + timedelta(microseconds=1), length)
    assert slots[-1] == slot_of(window.until, length)
    assert all(bounds(one)[1] == bounds(two)[0] for one, two in itertools.pairwise(slots))

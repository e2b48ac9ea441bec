from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.data.sources.formats.quoting import QuotedFields
from include.errors import SourceError
from tests.include.data.sources.formats.test_text import AB, rows_of, write

__all__ = ["write"]

# A field that begins with a quote goes on to the first quote that is not doubled, or to the end.
FIELD = re.compile(rb'"(?:[^"]|"")*("|$)|[^,\n]*')


def by_hand(text: bytes) -> int | None:
    place = 0
    while place < len(text):
        field = FIELD.match(text, place)
        assert field is not None
        place = field.end()
        if place < len(text) and field.group(1) and text[place] not in b",\n\r":
            return place
        if place < len(text) and text[place] in b"\r" and field.group(1):
            place += 1
        place += 1
    return None


@given(
    fields=st.lists(
        st.sampled_from(['"a"', '"a""b"', '""', '"a,b"', "x", "", '"a"b', '"a""b"c', '"a" ', '""x']), max_size=8
    ),
    ends=st.lists(st.sampled_from([",", "\n", "\r\n"]), min_size=8, max_size=8),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_what_stands_behind_a_closing_quote_is_found_wherever_chunks_end(fields, ends, cuts) -> None:
    text = "".join(field + end for field, end in zip(fields, ends, strict=False)).encode()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    look, found = QuotedFields(","), None
    for start, end in itertools.pairwise(places):
        if (behind := look.look(text[start:end])) is not None:
            found = start + behind
            break
    assert found == by_hand(text)


@pytest.mark.parametrize("row", ['2,"x"y', '2,"x" ', '2,"x""y"z'])
@pytest.mark.parametrize("before", [1, 700_000])
def test_a_row_with_text_behind_a_closing_quote_is_named_by_its_line(write, row, before) -> None:
    path = write("a,b\n" + '1,"x"\n' * before + row + "\n3,z\n")
    with pytest.raises(SourceError, match=f"follows the closing quote(.|\n)*line {before + 2}\n"):
        rows_of(path, AB)


def test_quotes_in_a_field_that_does_not_begin_with_one_are_characters(write) -> None:
    path = write('a,b\n1,5" x 7"\n2,"say ""so"""\n3,"two\nlines"\n')
    assert [row["b"] for row in rows_of(path, AB, quoted_newlines=True)] == ['5" x 7"', 'say "so"', "two\nlines"]

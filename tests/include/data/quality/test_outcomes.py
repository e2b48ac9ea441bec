from __future__ import annotations

from include.data.quality.outcomes import without_values


def test_an_error_of_the_library_is_told_without_what_it_quotes_of_rows() -> None:
    said = "could not convert string to float: 'Ada Lovelace' in column 'size'"
    told = without_values(said, {"column": "size"})
    assert told == "could not convert string to float: … in column 'size'"

"""Correct texts as `quality.rectify` declares, value by value, in the same way in training, scoring and serving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.rectify import Rectify, Spelling
from include.data.columns.lookalikes import appearance
from include.errors import ConfigError, SourceError, did_you_mean

Rectifier = Callable[[str], str]
_KEPT = 65_536
"""How many texts of a column are remembered."""


def rectifiers(rectify: Rectify) -> dict[str, Rectifier]:
    """Return the function that puts the texts of each column right; raises `ConfigError` if a spelling means two levels."""
    return {name: function for one in rectify.texts for function in [_rectifier(one)] for name in one.columns}


def _rectifier(spelling: Spelling) -> Rectifier:
    def plain(text: str) -> str:
        text = appearance(text) if spelling.look_alikes else text
        text = text.strip() if spelling.trim else text
        return text.casefold() if spelling.fold_case else text

    meaning: dict[str, str] = {}
    for level, others in spelling.levels.items():
        for other in (level, *others):
            if meaning.setdefault(plain(other), level) != level:
                raise ConfigError(
                    "A spelling is listed under two levels.",
                    expected="one level for each",
                    found=f"`{other}`, of {level} and {meaning[plain(other)]}",
                    where="quality.rectify.texts",
                )

    @lru_cache(_KEPT)
    def rectified(text: str) -> str:
        found = plain(text)
        return meaning.get(found, found)

    return rectified


def rectify_texts(
    table: pa.Table, functions: Mapping[str, Rectifier], where: str
) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Return a table with corrected texts, and for each column which rows were changed.

    Parameters
    ----------
    functions : mapping of str to callable
        By column, as `rectifiers` returns them.
    where : str
        Where the rows are from, for errors.

    Raises
    ------
    SourceError
        When a column is not there, or holds no texts.
    """
    changed = {}
    for name, function in functions.items():
        if name not in table.column_names:
            raise SourceError(
                f"There is no column `{name}` to correct.",
                expected="a text column of the source",
                found=", ".join(table.column_names),
                where=where,
                remedy=did_you_mean(name, table.column_names, "correct `quality.rectify`"),
            )
        if not pa.types.is_string(table.schema.field(name).type):
            raise SourceError(
                f"Column `{name}` can't be corrected.",
                expected="texts",
                found=table.schema.field(name).type,
                where=where,
                remedy="leave it out of `quality.rectify`, or declare its type as `string`",
            )
        before = table[name]
        encoded = before.dictionary_encode().unify_dictionaries()
        # The dictionary of all chunks, put right once.
        texts = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        put_right = pa.array([function(text) for text in texts], pa.string())
        parts = [pa.DictionaryArray.from_arrays(part.indices, put_right).cast(pa.string()) for part in encoded.chunks]
        after = pa.chunked_array(parts, pa.string())
        changed[name] = pc.fill_null(pc.not_equal(before, after), False)
        table = table.set_column(table.column_names.index(name), name, after)
    return table, changed

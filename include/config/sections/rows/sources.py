"""Sources of rows: files, SQL and Python readers, types of columns, and the length of a partition."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator, model_validator

from include.config.section import Section

ColumnType = Literal["string", "integer", "float", "boolean", "timestamp", "date"]
DATE_PARTS = ("%Y", "%m", "%d", "%H")
"""What stands for the date of a partition in paths, the longest first."""
_NO_ENCODINGS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


class Slot(StrEnum):
    """The length of event time that one partition holds."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Column(Section):
    """How one column of a text file is read; nothing is guessed that can be declared."""

    type: ColumnType
    """What the values are; an id such as `007` is a `string`."""
    format: str | None = None
    """For `timestamp` and `date`: how the text is written, as for `strptime` (`%d/%m/%Y`); `epoch_s`, `epoch_ms`, `epoch_us` or `epoch_ns` for numbers since 1970; `excel` for Excel's day numbers. ISO 8601 if left out. A zone in the text counts, and so do the letters `Z`, `UTC` and `GMT` at the end of a format; other names of zones are refused."""
    missing: tuple[str, ...] = ("",)
    """Texts that mean "no value"; only the empty text if left out, so that the country `NA` stays a country."""
    decimal: Literal[".", ","] = Field(default=".", exclude_if=lambda mark: mark == ".")
    """For numbers: the decimal mark."""
    thousands: Literal["", ".", ",", " ", "'", "_"] = Field(default="", exclude_if=lambda mark: not mark)
    """For numbers: the mark between groups of digits, as in `1,234.56`; a blank also means a no-break space. Wrong groups, as in `1,23`, are refused."""
    unit: str = Field(default="", max_length=20, exclude_if=lambda unit: not unit)
    """For numbers: a sign that every number has before or behind it, such as `%` or `EUR`. The number stays what it is: `12 %` is 12."""

    @property
    def marked(self) -> bool:
        """Whether its numbers are written with more than digits and a decimal point."""
        return (self.decimal, self.thousands, self.unit) != (".", "", "")

    @model_validator(mode="after")
    def _readable(self) -> Column:
        numbers = self.type in ("integer", "float") or self.format == "excel"
        if self.marked and not numbers:
            raise ValueError(
                f"expected `decimal`, `thousands` and `unit` only for numbers, found them for `{self.type}`"
            )
        if self.thousands == self.decimal:
            raise ValueError(f"expected two marks, found `{self.decimal}` for decimals and thousands")
        if self.unit != self.unit.strip() or re.search(r"[\d.,+-]", self.unit):
            raise ValueError("expected a unit without digits, marks or blanks around it")
        if self.format and (offset := re.search(r"[+-]\d\d:?\d\d$", self.format)):
            raise ValueError(f"expected `%z` for an offset such as `{offset.group()}`, so that it counts")
        return self


class SourceSection(Section):
    """What every kind of source has; the module in `include/data/sources` that is named after the kind reads it."""

    @property
    def declared_types(self) -> dict[str, ColumnType]:
        """The types of columns that are declared: those of `types`, where a kind has this field."""
        return dict(getattr(self, "types", {}))

    @property
    def code(self) -> str | None:
        """The module of the model's folder whose code makes the rows, if one does."""
        return None

    @property
    def places(self) -> tuple[str, ...]:
        """The paths and addresses in S3 that are read, as far as they are declared; patterns among them."""
        return ()

    @property
    def remote(self) -> bool:
        """Whether the rows are in another system, which a connection opens."""
        return any(place.startswith("s3://") for place in self.places)


class FilesSource(SourceSection):
    """Files on a disk that every worker sees, or in S3."""

    kind: Literal["files"]
    path: str
    """A file, a folder with all files below it, or a pattern, on disk or behind `s3://`. `*`, `?` and `[...]` stay within one folder, `**` stands for any number of folders; names that begin with `.` or `_`, such as `_SUCCESS`, are ignored unless the pattern begins with the same character. `%Y`, `%m`, `%d`, `%H` stand for the partition's own date, so that only its files are read. A relative path starts at the model's folder."""
    format: Literal["csv", "parquet", "json_lines", "excel"]
    """The format of the files; `excel` (.xlsx) needs the extra `excel`. Files of `csv` and `json_lines` that end in `.gz`, `.bz2`, `.xz`, `.zst` or `.zip` (with one file in it) are decompressed as they are read."""
    columns: dict[str, Column] = Field(default_factory=dict)
    """The columns to keep, with their types; other columns of the files are ignored. Required except for Parquet, which has its own types: for Parquet only these columns are kept."""
    encoding: str = Field(default="utf-8", exclude_if=lambda name: name == "utf-8")
    """The encoding of a text file, by Python's names: `windows-1252`, `latin-1`, `utf-16` (with a mark at its beginning; `utf-16-le` and `utf-16-be` without) and so on."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """The character between two fields of a CSV file."""
    sheet: str | None = Field(default=None, exclude_if=lambda name: name is None)
    """The sheet of an Excel workbook whose rows are read; may be left out where only one is not hidden."""
    quoted_newlines: bool = False
    """Whether quoted texts of a CSV file may contain line breaks. If not, a quote that is not closed is reported with its line."""
    connection: str | None = None
    """The Airflow connection (type `aws`) that opens the bucket; the default chain of AWS credentials if left out."""

    @property
    def declared_types(self) -> dict[str, ColumnType]:
        """Those of `columns`."""
        return {name: column.type for name, column in self.columns.items()}

    @property
    def places(self) -> tuple[str, ...]:
        """Its path."""
        return (self.path,)

    @field_validator("path")
    @classmethod
    def _understood(cls, path: str) -> str:
        check_pattern(path)
        return path

    @field_validator("delimiter")
    @classmethod
    def _apart(cls, delimiter: str) -> str:
        if not delimiter.isascii() or delimiter in '"\r\n\0':
            raise ValueError("expected a delimiter of ASCII that is neither a quote nor a line end")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            found = codecs.lookup(encoding)
        except LookupError:
            found = None
        # Python's list also has ways to write bytes, such as `base64` and `unicode_escape`.
        if found is None or not found._is_text_encoding or found.name in _NO_ENCODINGS:
            raise ValueError(
                f"expected an encoding such as `utf-8`, `windows-1252`, `latin-1` or `utf-16`, found `{encoding}`"
            )
        return encoding

    # An empty `columns` of a text file is answered when the file is read, with a block to paste: see include/data/sources/formats/text.py.
    @model_validator(mode="after")
    def _of_the_format(self) -> FilesSource:
        if self.encoding != "utf-8" and self.format in ("parquet", "excel"):
            raise ValueError("expected `encoding` only for `csv` and `json_lines`: other formats define their own")
        if self.sheet is not None and self.format != "excel":
            raise ValueError(f"expected `sheet` only for `excel`, found it for `{self.format}`")
        return self


class SqlSource(SourceSection):
    """One query through an Airflow connection."""

    kind: Literal["sql"]
    connection: str
    """The Airflow connection of the database."""
    query: str
    """A SELECT with the bounds `:start` (inclusive) and `:end` (exclusive) on event time; they have the type of the column: with a zone, or without one in `timezone`. Without them for a table that has no event time."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns that the database driver leaves open, such as times in SQLite, or a column that is often empty."""

    @property
    def remote(self) -> bool:
        """Always."""
        return True


class PythonSource(SourceSection):
    """A function in the model's folder that yields rows between two instants."""

    kind: Literal["python"]
    reader: str = Field(pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")
    """`module:function` in the model's folder; called as `function(start, end)`, or `function()` for a table without event time, it yields pandas or Arrow tables."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns that the first table may leave open, such as one that is often empty."""

    @property
    def code(self) -> str | None:
        """The reader's module."""
        return self.reader.partition(":")[0]


def check_pattern(path: str) -> None:
    """Raise ValueError for a path of another service than S3, or with an unknown date part."""
    scheme, found, _ = path.partition("://")
    if found and scheme != "s3":
        raise ValueError(
            f"expected a path or an `s3://` address, found `{scheme}://`: files of other addresses are not read"
        )
    if unknown := sorted(set(re.findall(r"%.?", path)) - set(DATE_PARTS)):
        raise ValueError(f"expected the date parts %Y, %m, %d and %H, found `{unknown[0]}`")

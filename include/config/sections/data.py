"""Where a model's rows come from, which of them a run may see, and what must hold of them."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from include.config.durations import Duration
from include.config.names import EXPECTATIONS, ROW_EXPECTATIONS
from include.config.section import Section
from include.config.time_zones import Ambiguous, Clock, Zone
from include.errors import nearest

LOT, ROW = "(lot)", "(row)"
"""Columns that stand for event time and id in a table that has none."""

ColumnType = Literal["string", "integer", "float", "boolean", "timestamp", "date"]


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
    """Texts that mean "no value"; only the empty text unless said, so that a country `NA` stays one."""
    decimal: Literal[".", ","] = Field(default=".", exclude_if=lambda mark: mark == ".")
    """For numbers: what stands before the decimals."""
    thousands: Literal["", ".", ",", " ", "'", "_"] = Field(default="", exclude_if=lambda mark: not mark)
    """For numbers: what stands between groups of digits, as in `1,234.56`; a blank stands for one that does not break a line, too. Groups that are no groups, as in `1,23`, are refused."""
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
                f"expected `decimal`, `thousands` and `unit` only of numbers, found them at a `{self.type}`"
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
        """The types of columns that are declared."""
        return {}

    @property
    def code(self) -> str | None:
        """The module of the model's folder whose code makes the rows, if one does."""
        return None


class FilesSource(SourceSection):
    """Files on a disk that every worker sees, or in S3."""

    kind: Literal["files"]
    path: str
    """A file, a folder with all files below it, or a pattern, on disk or behind `s3://`. `*`, `?` and `[...]` stay within one folder, `**` stands for any number of folders; names that begin with `.` or `_`, such as `_SUCCESS`, are passed over unless the pattern begins so, too. `%Y`, `%m`, `%d`, `%H` stand for the partition's own date, so that only its files are read. A relative path starts at the model's folder."""
    format: Literal["csv", "parquet", "json_lines", "excel"]
    """How the files are written; `excel` (.xlsx) needs the extra `excel`. Files of `csv` and `json_lines` that end in `.gz`, `.bz2`, `.xz`, `.zst` or `.zip` (with one file in it) are unpacked on the way."""
    columns: dict[str, Column] = Field(default_factory=dict)
    """The columns to keep, with their types; whatever else the files hold is left alone. Required but for Parquet, which brings types of its own: there it keeps these columns only."""
    encoding: str = Field(default="utf-8", exclude_if=lambda name: name == "utf-8")
    """How a text file writes its characters, by Python's names: `windows-1252`, `latin-1`, `utf-16` (with a mark at its beginning; `utf-16-le` and `utf-16-be` without) and so on."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """What stands between two fields of a CSV file."""
    sheet: str | None = Field(default=None, exclude_if=lambda name: name is None)
    """The sheet of an Excel workbook whose rows are read; may be left out where only one is not hidden."""
    quoted_newlines: bool = False
    """Whether quoted texts of a CSV file may go on over several lines. If not, a quote that is never closed is found on its line."""
    connection: str | None = None
    """The Airflow connection (type `aws`) that opens the bucket; the default chain of AWS credentials if left out."""

    @property
    def declared_types(self) -> dict[str, ColumnType]:
        """Those of `columns`."""
        return {name: column.type for name, column in self.columns.items()}

    @field_validator("path")
    @classmethod
    def _understood(cls, path: str) -> str:
        scheme, found, _ = path.partition("://")
        if found and scheme != "s3":
            raise ValueError(
                f"expected a path or an `s3://` address, found `{scheme}://`: nothing is fetched from elsewhere"
            )
        if unknown := sorted(set(re.findall(r"%.?", path)) - {"%Y", "%m", "%d", "%H"}):
            raise ValueError(f"expected the date parts %Y, %m, %d and %H, found `{unknown[0]}`")
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

    # An empty `columns` of a text file is answered when the file is read, with a block to paste: see data/text.py.
    @model_validator(mode="after")
    def _of_the_format(self) -> FilesSource:
        if self.encoding != "utf-8" and self.format in ("parquet", "excel"):
            raise ValueError("expected `encoding` only of `csv` and `json_lines`: other formats have their own")
        if self.sheet is not None and self.format != "excel":
            raise ValueError(f"expected `sheet` only of `excel`, found it at `{self.format}`")
        return self


class SqlSource(SourceSection):
    """One query through an Airflow connection."""

    kind: Literal["sql"]
    connection: str
    """The Airflow connection to ask."""
    query: str
    """A SELECT with the bounds `:start` (inclusive) and `:end` (exclusive) on event time; they come as the column has them: with a zone, or without one in `timezone`. Without them for a table that has no event time."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns that the database driver leaves open, such as times in SQLite, or a column that is often empty."""

    @property
    def declared_types(self) -> dict[str, ColumnType]:
        """As in `types`."""
        return self.types


class PythonSource(SourceSection):
    """A function in the model's folder that yields rows between two instants."""

    kind: Literal["python"]
    reader: str = Field(pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")
    """`module:function` in the model's folder; called as `function(start, end)`, or `function()` for a table without event time, it yields pandas or Arrow tables."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns that the first table may leave open, such as one that is often empty."""

    @property
    def declared_types(self) -> dict[str, ColumnType]:
        """As in `types`."""
        return self.types

    @property
    def code(self) -> str | None:
        """The reader's module."""
        return self.reader.partition(":")[0]


Source = Annotated[FilesSource | SqlSource | PythonSource, Field(discriminator="kind")]


class Windows(Section):
    """Which rows a run learns from and is judged on; both end where labels have matured at as-of."""

    train: Duration
    """Length of the training window; it ends one label delay before the holdout begins."""
    holdout: Duration
    """Length of the holdout, the newest matured rows; never seen in fitting or tuning."""

    @field_validator("train", "holdout")
    @classmethod
    def _positive(cls, span: Duration) -> Duration:
        if not span:
            raise ValueError("expected a length above zero")
        return span


class Data(Section):
    """The rows of a model."""

    source: Source
    event_time: str = LOT
    """The column that says when a row happened. Left out for a table without time, which each run reads as a whole: the holdout is then drawn by lot, from a digest of each row's id."""
    row_id: tuple[str, ...] = ()
    """The columns that together name one row; required with `event_time`. Left out for a table without time, a row is named by the digest of its values."""
    target: str | None = None
    """The column to predict; left out for `task: clustering`, which has none."""
    positive: str | int | bool | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of two classes the positive one: whose probability is predicted, which thresholds call, and which recall and costs are about. Required unless the classes are true and false, yes and no, or 1 and 0."""
    entity: str | None = None
    """A column that says what a row is about, such as a patient, if none may be in both training and holdout: a tripwire then holds that. In a table without time, all rows about one of them have the same lot."""
    partition: Slot = Slot.MONTH
    """How much event time one stored partition holds: `hour`, `day` or `month`."""
    label_delay: Duration = Duration("0s")
    """How long after its event time a row's target is known."""
    windows: Windows | None = None
    """Required with `event_time`, and only there."""
    min_coverage: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda share: share is None)
    """The least share of the partitions of the declared training window that have rows, such as `0.9`; below it the gate holds. Without it a window that is longer than the data, or has gaps, is shown and no more. Only with `event_time`."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """The share of rows in the holdout of a table without time; 0.25 if left out."""
    equal_rows: Literal["together", "separate"] = Field(default="together", exclude_if=lambda way: way == "together")
    """What rows of a table are that have no `row_id` and are equal in all columns. `together`: one thing that stands several times; they are all in training or all in the holdout, and count as one where bounds are drawn. `separate`: different things that happen to be alike, such as people with the same answers; each has a lot of its own."""
    timezone: Zone = "UTC"
    """What event times without a zone mean, as an IANA name such as `America/New_York`."""
    ambiguous: Ambiguous = Field(default="refuse", exclude_if=lambda policy: policy == "refuse")
    """Which instant an event time without a zone means where a clock change shows it twice or never: the `earlier` or the `later` of the two; or the run stops and says so."""
    recheck: int = Field(default=1, ge=0)
    """How many of the newest partitions each run reads again, for late corrections."""
    wait: Duration = Field(default=Duration("0s"), exclude_if=lambda span: not span)
    """How long after its as-of a run waits for rows of the newest partition that is over by then, if there are none yet. It gives up its worker's slot meanwhile, looks again every few minutes, and goes on without them in the end. A backfill of old dates does not wait."""
    corrections: Literal["as_now_known", "as_known_then"] = "as_now_known"
    """Which content of a partition that was corrected later a run reads: the newest, or the one that was known at its as-of (the first on record if none was)."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The column to predict, or none."""
        return () if self.target is None else (self.target,)

    @model_validator(mode="before")
    @classmethod
    def _of_a_table(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("event_time", LOT) == LOT:
            return {"row_id": (ROW,), "holdout": 0.25, **value}
        return value

    @field_validator("row_id", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _timed_or_not(self) -> Data:
        query = self.source.query if isinstance(self.source, SqlSource) else None
        if not self.timeless:
            if self.windows is None:
                raise ValueError("expected `windows` with `event_time`")
            if not self.row_id:
                raise ValueError("expected `row_id` with `event_time`")
            if self.holdout is not None:
                raise ValueError(
                    "expected the holdout's length in `windows.holdout`; `holdout` is for a table without time"
                )
            if query is not None and (":start" not in query or ":end" not in query):
                raise ValueError(
                    "expected the bounds `:start` and `:end` in the query, such as `WHERE t >= :start AND t < :end`"
                )
            return self
        if self.windows is not None:
            raise ValueError("expected `event_time` with `windows`; without time the share `holdout` says what is kept")
        if self.label_delay:
            raise ValueError("expected no `label_delay` without `event_time`: every row has its label")
        if self.min_coverage is not None:
            raise ValueError("expected no `min_coverage` without `event_time`: a table is read as a whole")
        if self.wait:
            raise ValueError("expected no `wait` without `event_time`: nothing tells that a table is late")
        if isinstance(self.source, FilesSource) and "%" in self.source.path:
            raise ValueError("expected a path without date parts where there is no `event_time`")
        if query is not None and (":start" in query or ":end" in query):
            raise ValueError("expected a query without `:start` and `:end` where there is no `event_time`")
        return self

    @model_validator(mode="after")
    def _equal_rows_where_they_are(self) -> Data:
        if self.equal_rows == "separate" and (self.row_id != (ROW,) or self.entity is not None):
            raise ValueError("expected `equal_rows` only of a table without `event_time`, `row_id` and `entity`")
        return self

    @property
    def clock(self) -> Clock:
        """The zone of times without one, and what its repeated and skipped hours mean."""
        return Clock(self.timezone, self.ambiguous)

    @property
    def timeless(self) -> bool:
        """Whether the rows are a table without event time."""
        return self.event_time == LOT


class Expectation(Section):
    """One expectation under its Great Expectations name, with its arguments."""

    type: str
    """A Great Expectations name such as `expect_column_values_to_not_be_null`; those that need a SQL database are not available."""
    arguments: dict[str, Any]
    """Its arguments, as Great Expectations names them."""
    severity: Literal["critical", "warning"] = "warning"
    """What a failure means: `critical` stops the run without retries, `warning` is recorded. A check that can't be made at all always stops the run."""
    quarantine: bool = False
    """Set the offending rows aside and go on, below `max_quarantined`; for expectations on single rows, in place of `severity: critical` and `mostly`."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Expectation:
        if self.type not in EXPECTATIONS:
            close = nearest(self.type, EXPECTATIONS)
            hint = f"; did you mean `{close}`?" if close else ""
            raise ValueError(
                f"expected a Great Expectations name that a data frame can answer, found `{self.type}`{hint}"
            )
        if taken := sorted(_NOT_ARGUMENTS & self.arguments.keys()):
            raise ValueError(f"`{taken[0]}` of `{self.type}` is set by Ratchet: leave it out")
        if not self.quarantine:
            return self
        if self.type not in ROW_EXPECTATIONS:
            raise ValueError(
                f"expected `quarantine` only where single rows are judged; `{self.type}` judges all of them together"
            )
        if self.severity == "critical" or "mostly" in self.arguments:
            other = "mostly" if "mostly" in self.arguments else "severity: critical"
            raise ValueError(
                f"expected `quarantine` or `{other}`, found both; `quality.max_quarantined` bounds what is set aside"
            )
        return self


_NOT_ARGUMENTS = frozenset({"batch_id", "catch_exceptions", "id", "rendered_content", "result_format", "windows"})


class Quality(Section):
    """What must hold of the rows before anything learns from them."""

    expectations: tuple[Expectation, ...] = ()
    """Each is one entry `expect_...: {arguments}`, with `severity` and `quarantine` beside the arguments."""
    max_quarantined: float = Field(default=0.05, ge=0, le=1)
    """The largest share of rows that may be set aside; above it the run stops."""

    @field_validator("expectations", mode="before")
    @classmethod
    def _by_name(cls, entries: Any) -> Any:
        if not isinstance(entries, list | tuple):
            return entries
        return tuple(_expectation(entry) for entry in entries)


def _expectation(entry: Any) -> Any:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or {"type", "arguments"} <= entry.keys():
        return entry
    if len(entry) != 1:
        raise ValueError("expected one entry `expect_...: {arguments}`; two keys stand at one dash")
    ((name, arguments),) = entry.items()
    if arguments is not None and not isinstance(arguments, dict):
        raise ValueError(f"expected the arguments of `{name}` as `{{column: ...}}`, found {arguments!r}")
    arguments = dict(arguments or {})
    own = {key: arguments.pop(key) for key in ("severity", "quarantine") if key in arguments}
    return {"type": name, "arguments": arguments, **own}

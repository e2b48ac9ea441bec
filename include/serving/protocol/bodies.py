"""Request bodies as rows, and predictions as bodies: JSON, CSV, Arrow and Parquet."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from include.errors import RequestError
from include.scoring.predictor import Predictions, Predictor
from include.scoring.scores import LABEL, LOWER, OUTSIDE, PREDICTION, UPPER, answers_of
from include.serving.protocol.parquet_body import read_parquet_body, require_width, too_many
from include.serving.protocol.row_schema import RequestSchema

JSON, CSV = "application/json", "text/csv"
STREAM, FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
_SAME = {"application/x-parquet": PARQUET, "application/parquet": PARQUET, "application/arrow": STREAM}
TYPES = (JSON, CSV, STREAM, FILE, PARQUET)
_SPARE = 1000
"""How many columns a body may have beyond twice those of the model: each costs a parser kilobytes."""
# Frames of Zstandard and LZ4, at the places where an Arrow buffer may begin.
_COMPRESSED = (0xFD2FB528, 0x184D2204)


def media_type(header: str) -> str:
    """Return the media type of a Content-Type header, JSON if there is none; raises `RequestError` (415)."""
    name = header.partition(";")[0].strip().lower() or JSON
    name = _SAME.get(name, name)
    if name not in TYPES:
        raise RequestError("The body's type is not understood.", status=415, expected=", ".join(TYPES), found=name[:80])
    return name


def read_json(body: bytes, *, nan: bool = False) -> Any:
    """Return a JSON value; raises `RequestError` (400) for what is not JSON, keys that stand twice, and infinity.

    Parameters
    ----------
    nan : bool
        Whether NaN is taken, which is no JSON and what some clients write.
    """
    try:
        return (_WITH_NAN if nan else _STRICT).decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise RequestError("The body is nested too deeply.", status=400) from None
    except ValueError as error:
        problem = error if isinstance(error, _TwiceError) else "a text that can't be read"
        raise RequestError("The body is not JSON.", status=400, expected="JSON in UTF-8", found=problem) from None


class _TwiceError(ValueError):
    """A key stands twice in an object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _TwiceError("a key that stands twice in an object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _nan(name: str) -> float:
    return math.nan if name == "NaN" else _no_constant(name)


# Made once: `json.loads` and `json.dumps` make one a call where they are told more than nothing.
_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
_WITH_NAN = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_nan)


def rows_in(value: Any) -> list[Any]:
    """Return the rows of a JSON body: ``{"rows": [...]}``, ``{"instances": [...]}``, a list, or one row alone."""
    if isinstance(value, dict):
        for name in ("rows", "instances"):
            if isinstance(value.get(name), list):
                return list(value[name])
        if "rows" not in value and "instances" not in value:
            return [value]
    if isinstance(value, list):
        return value
    raise RequestError("The body holds no rows.", expected='{"rows": [{...}, ...]}', found="another JSON value")


def read_table(body: bytes, kind: str, schema: RequestSchema, *, max_rows: int, max_bytes: int) -> pa.Table:
    """Return the rows of a CSV, Arrow or Parquet body, held to the schema.

    Parameters
    ----------
    kind : str
        Media type of the body.
    schema : RequestSchema
        Columns and types that the version needs.
    max_rows : int
        Most rows that a request may have.
    max_bytes : int
        Most bytes of a body; the unpacked columns of a Parquet body may have a fixed multiple of it.

    Raises
    ------
    RequestError
        400 for a body that is not of its type, 413 for too many rows, 422 for columns that are not as the schema says.
    """
    most = 2 * len(schema.columns) + _SPARE
    try:
        if kind == CSV:
            require_width(body.partition(b"\n")[0].count(b","), most)
            table = _csv(body)
        elif kind == PARQUET:
            table = read_parquet_body(body, max_rows=max_rows, max_bytes=max_bytes, max_columns=most)
        else:
            table = _arrow(body, kind, most)
        if table.num_rows > max_rows:
            raise too_many(table.num_rows, max_rows)
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, EOFError) as error:
        raise RequestError("The body can't be read.", status=400, expected=kind, found=type(error).__name__) from None
    return schema.conform(table, texts=kind == CSV)


def _csv(body: bytes) -> pa.Table:
    header = pa_csv.read_csv(
        pa.BufferReader(body.partition(b"\n")[0] + b"\n"), read_options=pa_csv.ReadOptions(use_threads=False)
    )
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(header.column_names, pa.string()), null_values=[""], strings_can_be_null=True
    )
    return pa_csv.read_csv(
        pa.BufferReader(body),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=max(len(body), 1) + 1),
        convert_options=options,
    )


def _arrow(body: bytes, kind: str, max_columns: int) -> pa.Table:
    words = np.frombuffer(body[: len(body) // 8 * 8], "<u4")
    if np.isin(words, _COMPRESSED).any():
        raise RequestError(
            "Compressed Arrow buffers are refused: nobody can tell to what they grow.",
            status=415,
            expected="buffers as they are",
            remedy="write without compression, or send Parquet",
        )
    reader = pa.ipc.open_stream(pa.BufferReader(body)) if kind == STREAM else pa.ipc.open_file(pa.BufferReader(body))
    require_width(len(reader.schema), max_columns)
    return reader.read_all()


def answer_table(predictions: Predictions) -> pa.Table:
    """Return predictions as a table, a row for each row of the request: ``prediction``, ``label``, ``lower`` and ``upper``, ``out_of_domain``.

    Of more than two classes a column ``probability_<class>`` for each.
    """
    table = answers_of(predictions.score, predictions.fit)
    table = table.append_column(OUTSIDE, pa.array(predictions.out_of_domain))
    if predictions.score.ndim == 2:
        for place, name in enumerate(predictions.fit.classes or ()):
            table = table.append_column(f"probability_{name}", pa.array(predictions.score[:, place]))
    return table


def answer_schema(predictor: Predictor) -> pa.Schema:
    """Return the schema of a version's answers."""
    width = len(predictor.fit.classes or ())
    score = np.zeros((1, width)) if width > 2 else np.zeros(1)
    return answer_table(Predictions(predictor.fit, score, {})).schema


def write_table(table: pa.Table, kind: str) -> bytes:
    """Return a table as a body of a media type of `TYPES` other than JSON."""
    sink = pa.BufferOutputStream()
    if kind == CSV:
        pa_csv.write_csv(table, sink)
    elif kind == PARQUET:
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    else:
        maker = pa.ipc.new_stream if kind == STREAM else pa.ipc.new_file
        with maker(sink, table.schema) as writer:
            writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def answer_rows(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the rows of `answer_table` as JSON objects, with the columns that put a row outside the domain.

    They are made of lists: for one row a table takes longer than the prediction.
    """
    fit, prediction, places = predictions.fit, predictions.prediction, predictions.class_places
    columns: dict[str, list[Any]] = {PREDICTION: prediction.tolist()}
    if places is not None and fit.classes is not None:
        columns[LABEL] = [fit.classes[place] for place in places.tolist()]
    if fit.interval is not None:
        columns |= {
            name: (prediction + offset).tolist()
            for name, offset in zip((LOWER, UPPER), fit.interval.offsets, strict=True)
        }
    columns[OUTSIDE] = predictions.out_of_domain.tolist()
    if predictions.score.ndim == 2:
        for place, name in enumerate(fit.classes or ()):
            columns[f"probability_{name}"] = predictions.score[:, place].tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for name, mask in predictions.outside.items():
        for at in np.flatnonzero(mask):
            rows[at].setdefault("outside", []).append(name)
    return rows


def accepted(header: str, asked: str) -> str:
    """Return the media type to answer in: the first of an Accept header that is known, or that of the request."""
    for part in header.split(","):
        name = part.partition(";")[0].strip().lower()
        name = _SAME.get(name, name)
        if name in TYPES:
            return name
    return asked


def dump(value: Any) -> bytes:
    """Return JSON that `json.loads` reads back exactly."""
    return _ENCODER.encode(value).encode()


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(type(value).__name__)


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain)

"""Draft a model from a file: profile its rows, and write a folder with a declaration, all of it or nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from include.config.load import load_model
from include.config.model import NAME
from include.config.sections.rows.sources import FilesSource, SqlSource
from include.data.sources.file_listing import File
from include.drafting.declaration import Plan
from include.drafting.dialect import dialect_of
from include.drafting.draft_summary import Draft
from include.drafting.lake_tables import LakeTable, lake_rows, lake_table_at, with_types
from include.drafting.origins import EnvironmentConnections, files_at, table_at, table_source
from include.drafting.planning import plan_of, why_text
from include.drafting.profile import Profile, profile
from include.errors import ConfigError, did_you_mean


def draft(
    models: Path,
    name: str,
    file: Path | str,
    target: str,
    event_time: str | None = None,
    *,
    now: datetime,
    day_first: bool | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    connection: str | None = None,
) -> Draft:
    """Declare a new model from what the rows look like. A file, or a folder of files written alike, is copied into its folder.

    Rows in S3, in a database or in a table of a lake stay there, and are read by each run.

    Parameters
    ----------
    models : Path
        The folder of models.
    file : Path or str
        A file of CSV, JSON Lines, Parquet or Excel, or a folder of such; hidden files and markers in it are ignored. Or
        such a path in S3, or with a ``connection`` a table's name.
    target : str
        The column to predict.
    event_time : str, optional
        The column that says when a row happened; a table without time if left out.
    now : datetime
        The instant of drafting: no run can stand later.
    day_first : bool, optional
        Which of day and month comes first where dates allow both.
    decimal : str, optional
        The decimal mark where numbers such as `1,234` allow both.
    encoding : str, optional
        How the file writes its characters; told from its bytes if left out.
    sheet : str, optional
        The sheet of an Excel workbook, where it has several.
    connection : str, optional
        The id of the Airflow connection of a database, or a URL; of S3 the id alone, which runs use.

    Raises
    ------
    ConfigError
        When the model exists or can't be called so, or the file has no such column or no such target. No folder is left.
    SourceError
        When the file can't be read.
    """
    folder = models / name
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            "This can't be the name of a model.",
            expected="lower case letters, digits and underscores, a letter first, 63 at most",
            found=name,
        )
    if folder.exists():
        raise ConfigError("A model of this name exists already.", found=str(folder), remedy="choose another name")
    place, remote = str(file), str(file).startswith("s3://")
    with ExitStack() as opened:
        engine = lake = None
        source: FilesSource | SqlSource | LakeTable
        if connection is not None and not remote:
            engine = EnvironmentConnections(connection if "://" in connection else None).sql(connection)
            files = [opened.enter_context(table_at(engine, place))]
            looked_at = FilesSource(kind="files", path=place, format="parquet")
        elif (lake := lake_table_at(place, connection)) is not None:
            files = [opened.enter_context(lake_rows(lake, folder))]
            looked_at = FilesSource(kind="files", path=place, format="parquet")
        else:
            files = files_at(place)
            # A name of ours: `*`, `[` and `%` of a path are wildcards and date parts.
            copied = re.sub(r"[^\w.-]", "_", Path(place).name).lstrip("._") or "rows.csv"
            looked_at = _dialect(files, place if remote else copied, encoding, sheet)
        seen = profile(files, looked_at, event_time=event_time, day_first=day_first, decimal=decimal)
        _check_columns(seen, target, event_time, place)
        if lake is not None:
            source = with_types(lake, files[0], seen, event_time)
        elif engine is None:
            source = looked_at.model_copy(update={"connection": connection})
        else:
            known = {column: one.guess.column for column, one in seen.columns.items()}
            source = table_source(
                engine, name if "://" in str(connection) else str(connection), place, known, event_time
            )
        plan, left_out = plan_of(name, source, seen, target, event_time, now)
        here = isinstance(source, FilesSource) and not remote
        _write(folder, plan, looked_at.path if here else None, files, folded=Path(place).is_dir())
    facts = seen.columns[target]
    classes = Counter({str(value): rows for value, rows in (facts.levels or {}).items()}) if plan.classes else Counter()
    return Draft(
        path=folder / "model.yaml",
        task=plan.task,
        target=target,
        rows=seen.rows,
        numeric=plan.numeric,
        categorical=plan.categorical,
        left_out=left_out,
        row_id=plan.row_id,
        repeated=plan.repeated,
        classes=dict(classes.most_common()),
        unlabelled=facts.missing,
        periods=plan.periods,
        doubtful=tuple(c for c, f in seen.columns.items() if f.guess.others and f.guess.column.marked),
        levels_of_numbers={c: why for c in plan.categorical if (why := why_text(seen.columns[c]))},
        date_columns=() if event_time else tuple(c for c, f in seen.columns.items() if f.type in ("date", "timestamp")),
    )


def _dialect(files: Sequence[File], path: str, encoding: str | None, sheet: str | None) -> FilesSource:
    try:
        first, *others = (dialect_of(file, path, encoding) for file in files)
    except ValidationError as error:
        raise ConfigError(
            "There is no such encoding.",
            expected="an encoding such as `utf-8`, `windows-1252`, `latin-1` or `utf-16`",
            found=encoding,
            where="--encoding",
        ) from error
    for file, other in zip(files[1:], others, strict=True):
        if other != first:
            raise ConfigError(
                "The files of the folder have different formats.",
                expected=f"{_said(first)}, as in {files[0].name}",
                found=f"{_said(other)} in {file.name}",
                remedy="keep files of one kind in the folder, or draft from one of them and write a path such as `*.csv`",
            )
    if sheet is not None and first.format != "excel":
        raise ConfigError("Only an Excel workbook has sheets.", found=first.format, where="--sheet")
    return first.model_copy(update={"sheet": sheet})


def _said(source: FilesSource) -> str:
    return source.format + (f" with `{source.delimiter}` in {source.encoding}" if source.format == "csv" else "")


def _check_columns(seen: Profile, target: str, event_time: str | None, file: str) -> None:
    for column in (target, *([event_time] if event_time else [])):
        if column not in seen.columns:
            raise ConfigError(
                f"The file has no column `{column}`.",
                expected=", ".join(seen.columns),
                where=file,
                remedy=did_you_mean(column, seen.columns),
            )
    if target == event_time:
        raise ConfigError("The target can't be the event time: at that time the target is not known yet.", found=target)


def _write(folder: Path, plan: Plan, copied: str | None, files: Sequence[File], *, folded: bool) -> None:
    """Put files, if they are to be ``copied`` to a file or a folder of that name, and their declaration in place, in one step that another process sees whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the models, so that renaming is one step, but a level too deep to be taken for one of them.
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
        made = Path(scratch) / plan.name
        made.mkdir()
        for file in files if copied is not None else ():
            copy = made / str(copied) / file.name if folded else made / str(copied)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with file.open() as body, copy.open("wb") as written:
                shutil.copyfileobj(body, written, 2**20)
        (made / "model.yaml").write_text(plan.to_yaml(), encoding="utf-8")
        load_model(made / "model.yaml")
        made.rename(folder)

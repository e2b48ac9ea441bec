"""Review of a pull request: lint every model, and plan every model that changed."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from include.command_line.lint import lint
from include.command_line.plan import plan
from include.errors import ConfigError, RatchetError


def review(models: Path, against: str | None, *, now: datetime, with_rows: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield what is found of each model: its name, a text of several lines, and whether it can be used.

    Parameters
    ----------
    models : Path
        The folder with one folder a model.
    against : str, optional
        A commit or branch of Git: models whose declaration is another one there are planned. None plans nothing.
    now : datetime
        The instant of asking.
    with_rows : bool
        Read the sources that can be reached without an Airflow connection, and check their rows.

    Raises
    ------
    ConfigError
        When there is no model in the folder, or Git does not know what to compare with.
    """
    files = sorted(models.glob("*/model.yaml"))
    if not files:
        raise ConfigError(
            "There is no model to review.",
            expected="folders with a model.yaml",
            where=models,
            remedy="set RATCHET_MODELS to the folder that holds one folder a model",
        )
    with tempfile.TemporaryDirectory(prefix="ratchet-review-") as scratch:
        before = None if against is None else _checked_out(models, against, Path(scratch))
        for file in files:
            try:
                said = [lint(file, now=now, with_rows=with_rows)]
                if before is not None:
                    said.append(_planned(file, before / file.parent.name / file.name))
                yield file.parent.name, "\n\n".join(said), True
            except RatchetError as error:
                yield file.parent.name, str(error), False


def _planned(file: Path, old: Path) -> str:
    if not old.is_file():
        return "The model is new."
    if old.read_bytes() == file.read_bytes():
        return "Its declaration did not change."
    try:
        return plan(file, old)
    except RatchetError as error:
        return f"The changes can't be listed: the earlier declaration is not valid. {error}"


def _checked_out(models: Path, against: str, scratch: Path) -> Path:
    """Return a copy of the models' folder as it is in a commit; empty if the commit does not have it."""
    inside = _git(models, "rev-parse", "--show-prefix").decode().strip() or "."
    known = _git(models, "rev-parse", "--verify", "--quiet", f"{against}^{{commit}}", missing=against).decode().strip()
    root = Path(_git(models, "rev-parse", "--show-toplevel").decode().strip())
    if not _git(root, "ls-tree", known, "--", inside):
        return scratch
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", known, "--", inside))) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / inside


def _git(folder: Path, *arguments: str, missing: str | None = None) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - no shell, and Git's own arguments
    if done.returncode:
        raise ConfigError(
            f"Git knows no commit `{missing}`." if missing else "Git can't read the models' folder.",
            found=done.stderr.decode(errors="replace").strip() or None,
            where=folder,
            remedy="fetch the branch to compare with, with its history: a shallow clone lacks it",
        )
    return done.stdout

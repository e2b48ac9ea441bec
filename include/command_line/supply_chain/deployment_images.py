"""The images that docker-compose.yaml and Dockerfile name, and the lines of .env that pin them by digest."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from include.command_line.supply_chain.image_reference import ImageReference
from include.command_line.supply_chain.image_registry import Published
from include.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]+)\}")
_BASE = re.compile(r"^FROM (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class DeploymentImage:
    """An image that a deployment is made of.

    Parameters
    ----------
    variable : str
        The environment variable that names another image or pins this one; empty if the file leaves no choice.
    default : ImageReference
        What the file names by itself.
    chosen : ImageReference
        What is in force: that of .env, or else the default.
    """

    variable: str
    default: ImageReference
    chosen: ImageReference


def deployment_images(folder: Path, env_file: Path) -> list[DeploymentImage]:
    """Return the images that are brought from registries; what the Dockerfile builds is not, and its base is.

    Parameters
    ----------
    folder : Path
        Where docker-compose.yaml and Dockerfile lie.
    env_file : Path
        The settings of Compose; need not be there.
    """
    try:
        services: dict[str, Any] = yaml.safe_load((folder / "docker-compose.yaml").read_text())["services"]
        bases = _BASE.findall((folder / "Dockerfile").read_text())
    except OSError as error:
        raise ConfigError(
            "There are no deployment files in this folder.",
            expected="docker-compose.yaml and Dockerfile of a release",
            found=error,
            remedy="run it in the folder of the release, not in its image",
        ) from error
    built = {service["image"] for service in services.values() if "build" in service}
    named = dict.fromkeys([*bases, *(one["image"] for one in services.values() if one["image"] not in built)])
    lines = _lines(env_file)
    found = []
    for text in named:
        variable, default = said.groups() if (said := _VARIABLE.fullmatch(text)) else ("", text)
        chosen = next((value for _, value in reversed(_settings(lines, variable)) if value), default)
        found.append(DeploymentImage(variable, ImageReference.parse(default), ImageReference.parse(chosen, env_file)))
    return found


def _settings(lines: Iterable[str], variable: str) -> list[tuple[int, str]]:
    """Return the numbers of the lines that set a variable, and to what; the last one counts."""
    if not variable:
        return []
    line = re.compile(rf"""\s*(?:export\s+)?{variable}\s*[=:]\s*(["']?)([^\s"'#]*)\1\s*(?:#.*)?\s*""")
    return [(number, said[2]) for number, text in enumerate(lines) if (said := line.fullmatch(text))]


def pin(images: Iterable[DeploymentImage], env_file: Path, ask: Callable[[ImageReference], Published]) -> list[str]:
    """Write the digests that the images' tags have now into .env, and return what changed, a line each.

    All registries are asked before anything is written; other lines stay as they are, and so does who may read the file.

    Parameters
    ----------
    images : iterable of DeploymentImage
    env_file : Path
        Made if it is not there.
    ask : callable
        Returns what an image's registry has under its tag.
    """
    told, pins = [], {}
    for image in images:
        if not image.variable:
            told.append(f"{image.chosen}: the file names it without a variable, so .env can't pin it")
        elif image.chosen.digest and not image.chosen.tag:
            told.append(f"{image.variable}: {image.chosen} has no tag, so there is nothing to ask for; it stays")
        else:
            now = ask(image.chosen)
            pins[image.variable] = str(image.chosen.at(now.digest))
            told.append(f"{image.variable}: {_change(image.chosen, now)}{_differs(image)}")
    _write(env_file, pins)
    return told


def _change(before: ImageReference, now: Published) -> str:
    name, one = before.at(None), "" if now.is_index else " (for one platform only)"
    if before.digest is None:
        return f"{name} is pinned, {now.digest}{one}"
    if before.digest == now.digest:
        return f"{name} is as it was"
    return f"{name} has MOVED from {before.digest} to {now.digest}{one}"


def _differs(image: DeploymentImage) -> str:
    """Return what to do about a line of a release before this one; the same name and tag elsewhere is a mirror's."""
    ours, theirs = ((one.name.rpartition("/")[2], one.tag) for one in (image.chosen, image.default))
    return "" if ours == theirs else f"; this release names {image.default}: remove the line to use that"


def state(image: DeploymentImage) -> str:
    """Return in words what decides which image is pulled."""
    return ("the digest decides" if image.chosen.digest else "the tag decides") + _differs(image)


def _lines(env_file: Path) -> list[str]:
    """Return the lines of a file with what ends them."""
    if not env_file.exists():
        return []
    try:
        return env_file.read_bytes().decode().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise ConfigError("A file of settings is not UTF-8.", found=error.reason, where=str(env_file)) from None


def _write(env_file: Path, pins: dict[str, str]) -> None:
    before = _lines(env_file)
    lines = [*before]
    for variable, value in pins.items():
        line, places = f"{variable}={value}\n", _settings(lines, variable)
        if not places:
            lines[-1:] = [*(f"{last.rstrip()}\n" for last in lines[-1:]), line]
        elif places[-1][1] != value:
            number, former = places[-1]
            lines[number] = lines[number].replace(former, value, 1) if former else line
    if lines == before:
        return
    target = env_file.resolve()
    with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f"{target.name}.", delete=False) as draft:
        draft.write("".join(lines).encode())  # readable by its owner alone, as a file with passwords should be
    try:
        if target.exists():
            shutil.copymode(target, draft.name)
            owner = target.stat().st_uid if os.geteuid() == 0 else -1
            with suppress(PermissionError):  # of a group that is not the caller's
                os.chown(draft.name, owner, target.stat().st_gid)
        Path(draft.name).replace(target)
    except BaseException:
        Path(draft.name).unlink(missing_ok=True)  # it holds what the file holds
        raise

"""The images of a deployment are listed, pinned in .env by what a real registry says, and pinned anew when a tag moves."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from image_registry import image_registry, push
from typer.testing import CliRunner

from include.command_line.app import app
from include.command_line.supply_chain.deployment_images import deployment_images, pin, state
from include.command_line.supply_chain.image_registry import Published
from include.config.settings import ROOT
from include.errors import ConfigError, ImageError

SERVICES = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
SHIPPED = deployment_images(ROOT, Path("/dev/null/none"))
VARIABLES = [image.variable for image in SHIPPED]
OTHERS = "# kept as it is\r\nPOSTGRES_PASSWORD='a # b'\n\n#REDIS_IMAGE=redis:6\nREDIS_IMAGES=no\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with image_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def mirrored(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, str]]:
    """A .env that names a mirror of every image, and their digests there."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    file, digests, lines = tmp_path / ".env", {}, [OTHERS]
    for image in SHIPPED:
        name = f"mirror/{image.default.repository}"
        digests[image.variable] = push(registry, name, str(image.default.tag), image.variable)
        lines.append(f"{image.variable}={registry}/{name}:{image.default.tag}\n")
    file.write_bytes("".join(lines).encode())
    file.chmod(0o600)
    return file, digests


def asked(*words: str) -> str:
    done = CliRunner().invoke(app, ["images", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_image_of_the_files_is_listed_but_the_one_that_is_built() -> None:
    listed = asked()
    for service in SERVICES.values():
        default = service["image"].rpartition(":-")[2].removesuffix("}")
        assert (default in listed) == (default != "ratchet:local"), default
    assert "AIRFLOW_IMAGE" in listed and "apache/airflow:" in listed
    assert "" not in VARIABLES and len(set(VARIABLES)) == len(VARIABLES)


def test_images_are_pinned_where_compose_reads_it_and_no_other_line_changes(
    mirrored: tuple[Path, dict[str, str]],
) -> None:
    file, digests = mirrored
    before = file.read_bytes().decode().splitlines(keepends=True)
    said = asked("--write", str(file)).splitlines()
    assert [line.partition(":")[0] for line in said] == VARIABLES
    assert all(f"is pinned, {digests[line.partition(':')[0]]}" in line for line in said)
    after = file.read_bytes().decode().splitlines(keepends=True)
    pinned = [
        line if (name := line.partition("=")[0]) not in digests else f"{line.rstrip()}@{digests[name]}\n"
        for line in before
    ]
    assert after == pinned and after != before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and [one.name for one in file.parent.iterdir()] == [".env"]

    assert all("is as it was" in line for line in asked("--write", str(file)).splitlines())
    assert file.read_bytes().decode().splitlines(keepends=True) == pinned

    command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    if not shutil.which(command[0]) or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    options = ["--env-file", str(file), "--profile", "observability", "config"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    found = {service["image"] for service in read.values()} | {read["airflow-init"]["build"]["args"]["AIRFLOW_IMAGE"]}
    assert found == {line.partition("=")[2].strip() for line in pinned if "@sha256:" in line} | {"ratchet:local"}


def test_a_tag_that_moved_is_told_and_its_line_alone_is_written(
    registry: str, mirrored: tuple[Path, dict[str, str]]
) -> None:
    file, digests = mirrored
    asked("--write", str(file))
    before = file.read_text()
    (postgres,) = (image.default for image in SHIPPED if image.variable == "POSTGRES_IMAGE")
    moved = push(registry, f"mirror/{postgres.repository}", str(postgres.tag), "rebuilt")
    said = asked("--write", str(file)).splitlines()
    assert [line for line in said if "as it was" not in line] == [
        f"POSTGRES_IMAGE: {registry}/mirror/{postgres.repository}:{postgres.tag} has MOVED "
        f"from {digests['POSTGRES_IMAGE']} to {moved}"
    ]
    assert file.read_text() == before.replace(digests["POSTGRES_IMAGE"], moved)


def test_a_pin_of_the_release_before_is_told(registry: str, mirrored: tuple[Path, dict[str, str]]) -> None:
    file, _ = mirrored
    digest = push(registry, "mirror/library/postgres", "15", "older")
    file.write_text(f"POSTGRES_IMAGE={registry}/mirror/library/postgres:15@{digest}\n")
    (postgres,) = (image for image in deployment_images(ROOT, file) if image.variable == "POSTGRES_IMAGE")
    assert state(postgres).startswith("the digest decides; this release names postgres:16: remove the line")
    (redis,) = (image for image in deployment_images(ROOT, file) if image.variable == "REDIS_IMAGE")
    assert state(redis) == "the tag decides"


def test_nothing_is_written_unless_every_registry_answers(mirrored: tuple[Path, dict[str, str]]) -> None:
    file, _ = mirrored
    file.write_text(file.read_text() + "GRAFANA_IMAGE=127.0.0.1:1/grafana:1\n")  # the last line counts, as for Compose
    before = file.read_text()
    with pytest.raises(ImageError, match="does not answer"):
        asked("--write", str(file))
    assert file.read_text() == before


def test_a_file_that_is_not_there_is_made_and_one_without_a_last_newline_goes_on(registry: str, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    digest = push(registry, "team/base", "1", "an image")
    (folder / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE:-{registry}/team/base:1}}\n")
    services = {"ours": {"image": "ours:local", "build": "."}, "plain": {"image": f"{registry}/team/base:1"}}
    (folder / "docker-compose.yaml").write_text(json.dumps({"services": services}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("include.command_line.supply_chain.commands.ROOT", folder)
        said = asked("--write", str(folder / ".env"))
        assert "names it without a variable" in said and f"{registry}/team/base:1" in said
        assert (folder / ".env").read_text() == f"BASE={registry}/team/base:1@{digest}\n"
        (folder / ".env").write_text("A=1")
        asked("--write", str(folder / ".env"))
        assert (folder / ".env").read_text() == f"A=1\nBASE={registry}/team/base:1@{digest}\n"
        (folder / ".env").write_text(f"BASE={registry}/team/base@{digest}\n")
        assert "nothing to ask for" in asked("--write", str(folder / ".env"))
        (folder / ".env").write_text("BASE=${MIRROR}/base:1\n")
        with pytest.raises(ConfigError, match=r"no name of an image(.|\n)*\.env"):
            asked()


def test_an_image_that_was_pushed_is_printed_with_its_digest(registry: str) -> None:
    digest = push(registry, "team/ratchet", "0.1.0", "an image", platforms=("amd64",))
    assert asked(f"{registry}/team/ratchet:0.1.0") == f"{registry}/team/ratchet:0.1.0@{digest}\n"


def test_in_the_image_there_is_no_deployment_to_pin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run it in the folder of the release"):
        deployment_images(tmp_path, tmp_path / ".env")


@pytest.mark.parametrize("line", ["{} # stays on 15", "export {}", "{}\r", "  {}   # a mirror", "{}"])
@pytest.mark.parametrize("sign", ["=", ": "])
def test_a_line_with_more_than_its_setting_is_read_and_keeps_the_rest(tmp_path: Path, line: str, sign: str) -> None:
    file, name = tmp_path / ".env", "mirror.example.com/library/postgres:15"
    file.write_bytes((line.format(f"POSTGRES_IMAGE{sign}{name}") + "\n").encode())
    (image,) = [one for one in deployment_images(ROOT, file) if one.variable == "POSTGRES_IMAGE"]
    assert str(image.chosen) == name
    digest = f"sha256:{'a' * 64}"
    pin([image], file, lambda _: Published(digest, True))
    assert file.read_bytes().decode() == line.format(f"POSTGRES_IMAGE{sign}{name}@{digest}") + "\n"

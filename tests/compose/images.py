"""The images that docker-compose.yaml and Dockerfile name: here already, or pulled, or stand-ins built on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from include.command_line.supply_chain.deployment_images import deployment_images
from include.config.settings import ROOT

# Never under the public names: whoever brings the file up after a test is not to get a stand-in unawares.
_OURS = "ratchet-stand-in"
_DEBIAN = "bookworm"  # the release whose Python is 3.11, as in the tag of Airflow's image
_PACKAGES = ("curl", "postgresql", "procps", "prometheus", "python3", "python3-venv", "redis-server")
_BASE = f"{_OURS}/debian:{'-'.join((_DEBIAN, *_PACKAGES))}"
_SERVICES = ("object-store", "otel-collector", "postgres", "prometheus", "redis")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_ASK, _PULL, _BUILD = 60, 180, 900  # seconds; an engine itself gives up a registry that does not answer, after some 15


class NotToBeHad(Exception):
    """An image is neither here nor to be had, or the engine can't start it."""


def variable(kind: str) -> str:
    """Return the environment variable that names another image of a kind."""
    return f"{kind.upper().replace('-', '_')}_IMAGE"


def public_names() -> dict[str, str]:
    """Return the names of the images that a deployment needs: what the project's own is built on, and the services'."""
    named = {one.variable: str(one.default) for one in deployment_images(ROOT, Path(os.devnull))}
    return {kind: named[variable(kind)] for kind in ("airflow", *_SERVICES)}


def provide() -> dict[str, str]:
    """Return the names by which these images can be used on this machine.

    Raises
    ------
    NotToBeHad
        With the reason.
    """
    images = public_names()
    with ThreadPoolExecutor() as pool:
        had = dict(zip(images, pool.map(_is_here_or_pulled, images.values()), strict=True))
    if missing := [kind for kind in images if not had[kind]]:
        images |= _stand_ins(missing)
    _run(["docker", "run", "--rm", "--entrypoint", "true", images["redis"]], _ASK)
    return images


def _is_here_or_pulled(image: str) -> bool:
    return _succeeds(["docker", "image", "inspect", image], _ASK) or _succeeds(["docker", "pull", image], _PULL)


def _stand_ins(kinds: list[str]) -> dict[str, str]:
    uv = Path(sys.executable).with_name("uv")
    needed = ("mmdebstrap", str(uv), _CERTIFICATES)
    if absent := [name for name in needed if not (shutil.which(name) or Path(name).exists())]:
        raise NotToBeHad(f"no registry gives {', '.join(kinds)}, and no stand-ins can be built without {absent}")
    names = {kind: f"{_OURS}/{kind}:local" for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        if not _succeeds(["docker", "image", "inspect", _BASE], _ASK):
            archive = Path(folder) / "debian.tar"
            packages = f"--include={','.join(_PACKAGES)}"
            _run(["mmdebstrap", "--variant=essential", packages, _DEBIAN, str(archive)], _BUILD)
            _run(["docker", "import", str(archive), _BASE], _BUILD)
            archive.unlink()
        own = Path(__file__).parent
        files = (own / "Dockerfile", *own.glob("*.*"), ROOT / "requirements-dev.txt", uv, Path(_CERTIFICATES))
        for file in files:
            shutil.copy(file, folder)
        given = [f"DEBIAN={_BASE}", *(name for name in _PROXIES if name in os.environ)]
        options = ["--network=host", *(f"--build-arg={argument}" for argument in given)]
        for kind, name in names.items():
            _run(["docker", "build", *options, f"--target={kind}", f"--tag={name}", folder], _BUILD)
    return names


def _succeeds(command: list[str], seconds: float) -> bool:
    try:
        _run(command, seconds)
    except NotToBeHad:
        return False
    return True


def _run(command: list[str], seconds: float) -> None:
    # Debian's engine has no BuildKit's client; what is built here needs none.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        raise NotToBeHad(f"`{' '.join(command[:2])}` took longer than {seconds:.0f} s") from None
    except OSError as error:
        raise NotToBeHad(str(error)) from None
    if done.returncode:
        said = " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise NotToBeHad(f"`{' '.join(command[:2])}` failed: {said[-500:]}")


if __name__ == "__main__":
    # To have them ready before the test: python -m tests.compose.images
    for kind, name in provide().items():
        sys.stdout.write(f"{kind}: {name}\n")

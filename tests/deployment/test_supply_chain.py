"""What the image installs is pinned by hash: the pins are those of the requirements, and another archive is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from include.config.settings import ROOT

HASHES = ROOT / "hashes"
REQUIREMENTS = sorted(ROOT.glob("requirements-*.txt"))
BUILT = re.search(r"^RUN (pip install .+?)\n(?=\S)", (ROOT / "Dockerfile").read_text(), re.DOTALL | re.MULTILINE)


def pins(path: Path) -> list[str]:
    """Return the lines of a file that pin a distribution, without the hashes behind them."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return [line.partition("--hash=")[0].strip() for line in lines if line and not line.startswith("#")]


def hashed(path: Path) -> dict[str, int]:
    """Return how many hashes each pin of a file has."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    found = [line for line in lines if line and not line.startswith("#")]
    return {line.split()[0]: len(re.findall(r"--hash=sha256:[0-9a-f]{64}(?= |$)", line)) for line in found}


@pytest.mark.parametrize(
    "path", [path for path in REQUIREMENTS if not re.search("-(dev|astronomer).txt$", path.name)], ids=lambda p: p.stem
)
def test_the_hashed_pins_are_those_of_the_requirements(path: Path) -> None:
    ours = HASHES / path.name.removeprefix("requirements-")
    assert pins(ours) == pins(path), "make requirements"
    assert len(pins(path)) > 2 and all(hashed(ours).values())


def test_there_are_hashes_for_what_the_image_may_install_and_for_nothing_else() -> None:
    named = {f"{path.stem.removeprefix('requirements-')}.txt" for path in REQUIREMENTS}
    assert {path.name for path in HASHES.iterdir()} == named - {"dev.txt", "astronomer.txt"} | {"build.txt"}
    (build,) = pins(HASHES / "build.txt")
    assert build in pins(ROOT / "requirements-cluster.txt"), "what builds the sources is what stays installed"
    assert all(hashed(HASHES / "build.txt").values())


def wheel(folder: Path, name: str) -> str:
    """Make a distribution of one empty module, and return a requirement that pins it by its hash."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(place, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as the Dockerfile makes it, with a folder of three distributions as its only index."""
    folder = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", folder / "ratchet"], check=True)
    (folder / "index").mkdir()
    (folder / "hashes").mkdir()
    for name, file in (("builder", "build"), ("pinned", "cluster"), ("extra", "more")):
        (folder / "hashes" / f"{file}.txt").write_text(wheel(folder / "index", name))
    return folder


def built(image: Path) -> subprocess.CompletedProcess[str]:
    """Run the Dockerfile's own command in this environment."""
    assert BUILT is not None
    command = BUILT[1].replace("/opt/airflow/hashes", f"{image}/hashes").replace("/home/airflow", str(image))
    return subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))},
            "PATH": os.pathsep.join([str(image / "ratchet" / "bin"), os.environ["PATH"]]),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(image / "index"),
            "RATCHET_EXTRAS": "more",
        },
    )


def there(image: Path) -> set[str]:
    return {name for name in ("builder", "pinned", "extra") if [*image.glob(f"ratchet/lib/*/site-packages/{name}.py")]}


@pytest.mark.parametrize(("file", "left"), [("cluster", {"builder"}), ("more", {"builder"}), ("build", set())])
@pytest.mark.parametrize("fault", ["another hash", "no hash"])
def test_the_images_build_refuses_an_archive_of_another_hash(
    image: Path, file: str, left: set[str], fault: str
) -> None:
    subprocess.run([image / "ratchet" / "bin" / "pip", "uninstall", "-qy", "builder", "pinned", "extra"], check=True)
    path = image / "hashes" / f"{file}.txt"
    right = path.read_text()
    try:
        path.write_text(re.sub(r"sha256:\w", "sha256:" + ("0" if "sha256:f" in right else "f"), right))
        if fault == "no hash":
            path.write_text(right.partition(" ")[0] + "\n")
        done = built(image)
    finally:
        path.write_text(right)
    assert done.returncode != 0
    assert ("DO NOT MATCH THE HASHES" if fault == "another hash" else "Hashes are required") in done.stderr
    assert there(image) == left


def test_the_images_build_takes_the_archives_that_the_hashes_name_and_reports_them(image: Path) -> None:
    done = built(image)
    assert done.returncode == 0, done.stderr
    assert "No broken requirements found" in done.stdout
    assert there(image) == {"builder", "pinned", "extra"}
    told = "".join(path.read_text() for path in image.glob("ratchet/pip-*.json"))
    for path in (image / "hashes").iterdir():
        assert path.read_text().strip().rpartition(":")[2] in told


def advisories(known: dict[str, Any], *, status: int = 200) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run `make advisories` with a database that knows these, and return what came of it and which versions it was asked for."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    asked: dict[str, str] = {}

    class Database(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as OSV's API has it
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked[name] = query["version"]
            body = json.dumps({"vulns": [known[name]]} if name in known else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"ARGS=-s osv --osv-url http://127.0.0.1:{server.server_port}/v1/query"
        command = ["make", "--old-file=.venv/created", "advisories", f"BIN={Path(uv).parent}", where]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        server.shutdown()
    if not asked and "pip-audit" in done.stderr and "Failed to" in done.stderr:
        pytest.skip("pip-audit can't be had: no package index answers")
    return done, asked


def test_advisories_are_looked_up_for_every_pin_and_a_known_one_fails_the_job() -> None:
    affected = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "ranges": [
        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}
    ]}  # fmt: skip
    known = {"jinja2": {"id": "PYSEC-2099-1", "details": "A test.", "aliases": [], "affected": [affected]}}
    done, asked = advisories(known)
    assert done.returncode != 0 and "PYSEC-2099-1" in done.stdout and "99.0" in done.stdout
    image = {"python_version": "3.11", "python_full_version": "3.11.9"}
    wanted = [Requirement(pin) for path in HASHES.iterdir() if path.stem != "build" for pin in pins(path)]
    assert asked == {
        one.name: str(one.specifier).removeprefix("==")
        for one in wanted
        if one.marker is None or one.marker.evaluate(image)
    }


def test_the_job_passes_if_none_is_known_and_fails_if_nobody_knows() -> None:
    done, asked = advisories({})
    assert done.returncode == 0 and "No known vulnerabilities found" in done.stdout + done.stderr and asked
    done, asked = advisories({}, status=503)
    assert done.returncode != 0 and asked

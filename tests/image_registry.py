"""A real registry of images on this machine (Debian's package docker-registry), and images that are pushed to it by HTTP."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import yaml

from include.command_line.local_airflow.standalone import free_port

OCI = "application/vnd.oci.image"


@contextmanager
def image_registry(
    storage: Path, auth: dict[str, Any] | None = None, tls: dict[str, str] | None = None
) -> Iterator[str]:
    """Give the host and port of a registry over a folder, which several may share."""
    if not (program := shutil.which("docker-registry")):
        pytest.skip("docker-registry, Debian's package of that name, is not installed")
    host = f"127.0.0.1:{free_port(15000)}"
    config = storage / f"{host.replace(':', '-')}.yml"
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": host, **({"tls": tls} if tls else {})},
        **({"auth": auth} if auth else {}),
    }
    config.write_text(yaml.safe_dump(settings))
    with (
        config.with_suffix(".log").open("wb") as log,
        subprocess.Popen([program, "serve", config], stdout=log, stderr=log) as server,
    ):
        try:
            for _ in range(200):
                try:
                    assert httpx.get(f"http://{host}/v2/").status_code in (200, 400, 401)  # 400: it speaks TLS
                    break
                except httpx.TransportError:
                    assert server.poll() is None, config.with_suffix(".log").read_text()
                    time.sleep(0.05)
            yield host
        finally:
            server.terminate()


def push(host: str, repository: str, tag: str, content: str, platforms: tuple[str, ...] = ("amd64", "arm64")) -> str:
    """Push an image with a file of that content, and return its digest: that of the index if it has several platforms."""
    images = []
    for platform in platforms:
        blobs = {
            "config": (json.dumps({"architecture": platform, "os": "linux"}).encode(), f"{OCI}.config.v1+json"),
            "layer": (f"{content} for {platform}".encode(), f"{OCI}.layer.v1.tar"),
        }
        told = {}
        for kind, (data, media_type) in blobs.items():
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            begun = httpx.post(f"http://{host}/v2/{repository}/blobs/uploads/")
            place = httpx.URL(urljoin(f"http://{host}/", begun.headers["Location"])).copy_merge_params(
                {"digest": digest}
            )
            assert httpx.put(place, content=data).status_code == 201
            told[kind] = {"mediaType": media_type, "digest": digest, "size": len(data)}
        manifest = {"schemaVersion": 2, "config": told["config"], "layers": [told["layer"]]}
        size, digest = _put(host, repository, None, manifest, f"{OCI}.manifest.v1+json")
        described = {"digest": digest, "size": size, "platform": {"architecture": platform, "os": "linux"}}
        images.append({"mediaType": f"{OCI}.manifest.v1+json", **described})
    if len(platforms) == 1:
        return _put(host, repository, tag, manifest, f"{OCI}.manifest.v1+json")[1]
    return _put(host, repository, tag, {"schemaVersion": 2, "manifests": images}, f"{OCI}.index.v1+json")[1]


def _put(host: str, repository: str, tag: str | None, manifest: dict[str, Any], kind: str) -> tuple[int, str]:
    data = json.dumps({**manifest, "mediaType": kind}).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    address = f"http://{host}/v2/{repository}/manifests/{tag or digest}"
    done = httpx.put(address, content=data, headers={"Content-Type": kind})
    assert done.status_code == 201, done.text
    return len(data), digest

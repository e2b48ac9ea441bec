"""Resolve a tag to a digest in an image registry, by the OCI distribution protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
    parse_http_list,
    parse_keqv_list,
)

from include.command_line.supply_chain.image_reference import ImageReference
from include.errors import ImageError

_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_LARGEST = 4 << 20  # bytes of a manifest: the protocol's own limit
_SECONDS = 30


@dataclass(frozen=True)
class Published:
    """What a tag names now: its digest, and whether that is an index of all platforms or the image of one."""

    digest: str
    is_index: bool


def published(image: ImageReference) -> Published:
    """Return what an image's registry has under its tag, or, where it has none, under its digest.

    The digest is that of the bytes that came. An image for several machines has an index: its digest is taken, so that each machine
    still finds its own part. A registry is spoken to by HTTPS, on this machine also by HTTP, and with the
    login of ``docker login`` where ``config.json`` of ``DOCKER_CONFIG`` or ``~/.docker`` holds it.

    Raises
    ------
    ImageError
        When the registry does not answer, does not let us ask, has no such image, or answers something else.
    """
    scheme = "http" if _is_here(image.registry) else "https"
    address = f"{scheme}://{image.registry}/v2/{image.repository}/manifests/{image.tag or image.digest}"
    headers = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
    try:
        body, answered = _get(address, headers)
    except HTTPError as error:
        if error.code != 401:
            raise _refused(image, error.code) from error
        try:
            body, answered = _get(address, headers, _authorization(image, error.headers.get("WWW-Authenticate", "")))
        except HTTPError as again:
            raise _refused(image, again.code) from again
    kind = answered.get("Content-Type", "").partition(";")[0]
    if kind not in (*_INDEXES, *_MANIFESTS):
        raise _strange(image, kind or "an answer of no type", expected="a manifest of an image or an index of several")
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    claimed = answered.get("Docker-Content-Digest", digest)
    if claimed.startswith("sha256:") and claimed != digest:
        raise _strange(image, f"bytes of {digest}", expected=f"bytes of {claimed}, as the registry says itself")
    return Published(digest, kind in _INDEXES)


def _is_here(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    with suppress(ValueError):
        return ip_address(name).is_loopback
    return name == "localhost"


class _Onward(HTTPRedirectHandler):
    """Redirects are followed, but from HTTPS to nothing else."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if req.type == "https" and not newurl.startswith("https://"):
            raise ImageError("An image registry redirects to plain HTTP.", found=newurl, where=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _get(address: str, headers: dict[str, str], authorization: str | None = None) -> tuple[bytes, Any]:
    request = Request(address, headers=headers)  # noqa: S310 (https, or http on this machine)
    if authorization:  # for this server alone: it does not go along where the server sends us on
        request.add_unredirected_header("Authorization", authorization)
    # As container engines do: requests to this machine do not use a proxy.
    opener = build_opener(_Onward, *([ProxyHandler({})] if _is_here(urlsplit(address).netloc) else []))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            body = answer.read(_LARGEST + 1)
            headers = answer.headers
    except HTTPError:
        raise
    except (OSError, HTTPException) as error:
        raise ImageError(
            "An image registry does not answer.",
            found=getattr(error, "reason", error),
            where=address,
            remedy="nothing was changed; run it where that address can be reached, or set HTTPS_PROXY",
        ) from error
    if len(body) > _LARGEST:
        raise ImageError(
            "An image registry sends an answer that is too long.", expected=f"{_LARGEST} bytes", where=address
        )
    return body, headers


def _authorization(image: ImageReference, challenge: str) -> str:
    """Return the header that a registry asks for: a token that another server gives, or the login itself."""
    scheme, _, rest = challenge.partition(" ")
    login = _login(image)
    basic = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
    if scheme.lower() == "basic" and basic:
        return basic
    asked: dict[str, str] = {}
    if scheme.lower() == "bearer":
        with suppress(ValueError):
            asked = parse_keqv_list(parse_http_list(rest))
    realm = asked.get("realm", "")
    if not realm.startswith(("https://", "http://") if _is_here(image.registry) else "https://"):
        raise _strange(image, challenge or "no challenge", expected="`Bearer` with an address by HTTPS, or a login")
    query = {"service": asked.get("service"), "scope": asked.get("scope") or f"repository:{image.repository}:pull"}
    address = (
        f"{realm}{'&' if '?' in realm else '?'}{urlencode({name: value for name, value in query.items() if value})}"
    )
    try:
        body, _ = _get(address, {}, basic)
        found = json.loads(body)
        return f"Bearer {found.get('token') or found['access_token']}"
    except HTTPError as error:
        raise _refused(image, error.code) from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise _strange(image, "an answer without one", expected=f"a token of {realm}") from error


def _login(image: ImageReference) -> str | None:
    """Return ``user:password`` as ``docker login`` keeps it, where no keyring does."""
    file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    hub = image.registry == "registry-1.docker.io"
    with suppress(OSError, ValueError, LookupError, AttributeError, TypeError):
        kept = json.loads(file.read_text())["auths"]
        return base64.b64decode(kept["https://index.docker.io/v1/" if hub else image.registry]["auth"]).decode()
    return None


def _refused(image: ImageReference, code: int) -> ImageError:
    what, remedy = {
        401: ("does not let us ask", "docker login, with a login that config.json keeps, or make the image public"),
        403: ("does not let us ask", "docker login, with a login that config.json keeps, or make the image public"),
        404: ("has no such image", "look at its name and tag"),
        429: ("was asked too often", "wait, or use docker login: a user who is logged in may make more requests"),
    }.get(code, ("does not answer as it should", "try again later"))
    return ImageError(f"An image registry {what}.", found=f"HTTP {code}", where=f"{image}", remedy=remedy)


def _strange(image: ImageReference, found: str, *, expected: str) -> ImageError:
    return ImageError("An image registry gives an unexpected answer.", expected=expected, found=found, where=f"{image}")

"""Real registries are asked as they want to be asked: openly, with a token, with a login; what they say is believed if it adds up."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from image_registry import image_registry, push

from include.command_line.supply_chain.image_reference import ImageReference
from include.command_line.supply_chain.image_registry import published
from include.errors import ConfigError, ImageError

SERVICE, USER, PASSWORD = "images of a test", "ada", "of the engine"
HASHED = "$2b$04$LA2JoxM4UFvcctrmsll1Gua/sH156bC0T6fzFSaTiGpuycSNT.ysu"
"""The password as `htpasswd -B` writes it."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(storage: Path) -> Iterator[str]:
    with image_registry(storage) as host:
        yield host


@pytest.fixture(autouse=True)
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `docker login` keeps logins; none is kept there."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def log_in(logins: Path, host: str, password: str = PASSWORD) -> None:
    logins.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}}}))


@contextmanager
def serving(answer: Any, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Give the host and port of a server whose answers a function makes: status, headers, body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("postgres:16", "registry-1.docker.io", "library/postgres", "16"),
        ("docker.io/postgres", "registry-1.docker.io", "library/postgres", "latest"),
        ("apache/airflow:3.3.2-python3.11", "registry-1.docker.io", "apache/airflow", "3.3.2-python3.11"),
        ("registry.example.com/team/ratchet:0.1.0", "registry.example.com", "team/ratchet", "0.1.0"),
        ("localhost:5000/postgres", "localhost:5000", "postgres", "latest"),
        (f"10.0.0.1:80/a/b/c:v1@sha256:{'0' * 64}", "10.0.0.1:80", "a/b/c", "v1"),
        (f"redis@sha256:{'a' * 64}", "registry-1.docker.io", "library/redis", None),
    ],
)
def test_a_name_is_taken_apart_as_engines_do(text: str, registry: str, repository: str, tag: str | None) -> None:
    image = ImageReference.parse(text)
    assert (image.registry, image.repository, image.tag) == (registry, repository, tag)
    assert str(image).removesuffix(":latest") == text


@pytest.mark.parametrize("text", ["", "a b", "${MIRROR}/postgres:16", "postgres@sha256:12", "postgres:16@md5:00"])
def test_what_is_no_name_of_an_image_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no name of an image(.|\n)*where: \.env"):
        ImageReference.parse(text, ".env")


def test_the_digest_is_that_of_the_index_and_not_of_one_platform(registry: str) -> None:
    digest = push(registry, "team/several", "1", "an image")
    found = published(ImageReference.parse(f"{registry}/team/several:1"))
    assert (found.digest, found.is_index) == (digest, True)
    one = push(registry, "team/one", "1", "an image", platforms=("amd64",))
    assert one != digest
    found = published(ImageReference.parse(f"{registry}/team/one:1"))
    assert (found.digest, found.is_index) == (one, False)


@pytest.mark.parametrize("name", ["team/unknown:1", "team/known:2"])
def test_an_image_that_is_not_there_is_named(registry: str, name: str) -> None:
    push(registry, "team/known", "1", "an image")
    with pytest.raises(ImageError, match=rf"no such image(.|\n)*HTTP 404(.|\n)*{name}"):
        published(ImageReference.parse(f"{registry}/{name}"))


def test_a_registry_that_does_not_answer_is_named(registry: str) -> None:
    with pytest.raises(
        ImageError, match=r"does not answer(.|\n)*refused(.|\n)*http://127.0.0.1:1/v2/team/x/manifests/1"
    ):
        published(ImageReference.parse("127.0.0.1:1/team/x:1"))


class Tokens:
    """A server of tokens as Docker Hub has one: everybody may pull from `open/`, the user of a test from everywhere."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")]), datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder(name, name, self.key.public_key(), 1, now, now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, SHA256())
        )
        self.asked: list[tuple[str, str, str | None]] = []

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        query = {name: value for name, (value,) in parse_qs(urlsplit(request.path).query).items()}
        login = request.headers.get("Authorization")
        self.asked.append((query["service"], query["scope"], login))
        right = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if login not in (None, right):
            return 401, {}, b""
        kind, name, actions = query["scope"].split(":")
        granted = actions.split(",") if login or name.startswith("open/") else []
        claims = {
            "iss": "test",
            "sub": USER,
            "aud": query["service"],
            "jti": str(time.monotonic_ns()),
            "nbf": int(time.time()) - 10,
            "iat": int(time.time()),
            "exp": int(time.time()) + 60,
            "access": [{"type": kind, "name": name, "actions": granted}],
        }
        chain = [base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()]
        token = jwt.encode(claims, self.key, "ES256", headers={"x5c": chain})
        return 200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode()


@pytest.fixture
def with_tokens(storage: Path, tmp_path: Path) -> Iterator[tuple[str, Tokens]]:
    tokens, bundle = Tokens(), tmp_path / "tokens.pem"
    bundle.write_bytes(tokens.certificate.public_bytes(Encoding.PEM))
    with serving(tokens.answer) as server:
        told = {"realm": f"http://{server}/token", "service": SERVICE, "issuer": "test", "rootcertbundle": str(bundle)}
        with image_registry(storage, {"token": told}) as host:
            yield host, tokens


def test_a_registry_that_wants_a_token_gets_one_for_that_image_alone(
    registry: str, with_tokens: tuple[str, Tokens]
) -> None:
    (host, tokens), digest = with_tokens, push(registry, "open/image", "1", "an image")
    assert published(ImageReference.parse(f"{host}/open/image:1")).digest == digest
    assert tokens.asked == [(SERVICE, "repository:open/image:pull", None)]


def test_an_image_that_is_not_public_needs_the_login_of_docker(
    registry: str, with_tokens: tuple[str, Tokens], logins: Path
) -> None:
    (host, _), digest = with_tokens, push(registry, "closed/image", "1", "an image")
    image = ImageReference.parse(f"{host}/closed/image:1")
    with pytest.raises(ImageError, match=r"does not let us ask(.|\n)*HTTP 401(.|\n)*docker login"):
        published(image)
    log_in(logins, host, "a wrong one")
    with pytest.raises(ImageError, match=r"does not let us ask(.|\n)*docker login"):
        published(image)
    log_in(logins, host)
    assert published(image).digest == digest
    log_in(logins, "another.example.com")
    with pytest.raises(ImageError):
        published(image)


def test_a_registry_that_wants_a_password_gets_that_of_its_login(registry: str, storage: Path, logins: Path) -> None:
    file = logins.with_name("htpasswd")
    file.write_text(f"{USER}:{HASHED}\n")
    digest = push(registry, "team/behind", "1", "an image")
    with image_registry(storage, {"htpasswd": {"realm": "test", "path": str(file)}}) as host:
        image = ImageReference.parse(f"{host}/team/behind:1")
        with pytest.raises(ImageError, match="Basic realm"):
            published(image)
        log_in(logins, host)
        assert published(image).digest == digest


INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (200, {"Content-Type": "text/html"}, b"<html>", "text/html"),
        (200, {"Content-Type": INDEX, "Docker-Content-Digest": f"sha256:{'0' * 64}"}, b"{}", f"sha256:{'0' * 64}"),
        (200, {"Content-Type": INDEX}, b" " * ((4 << 20) + 1), "that is too long"),
        (401, {}, b"", "no challenge"),
        (401, {"WWW-Authenticate": 'Bearer realm="ftp://example.com/token"'}, b"", "ftp://example.com"),
        (401, {"WWW-Authenticate": "Bearer nonsense"}, b"", "Bearer nonsense"),
        (403, {}, b"", "does not let us ask"),
        (429, {}, b"", "too often"),
        (500, {}, b"", "HTTP 500"),
    ],
)
def test_what_does_not_add_up_is_not_believed(status: int, headers: dict[str, str], body: bytes, said: str) -> None:
    with serving(lambda _: (status, headers, body)) as host, pytest.raises(ImageError, match=said):
        published(ImageReference.parse(f"{host}/team/x:1"))


def test_a_login_goes_to_nobody_else(logins: Path) -> None:
    seen: list[str | None] = []

    def elsewhere(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        seen.append(request.headers.get("Authorization"))
        return 200, {"Content-Type": INDEX}, b"{}"

    with serving(elsewhere) as other:

        def sends_on(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
            if "Authorization" not in request.headers:
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            return 307, {"Location": f"http://{other}/manifest"}, b""

        with serving(sends_on) as host:
            log_in(logins, host)
            found = published(ImageReference.parse(f"{host}/team/x:1"))
    assert found.digest == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert seen == [None]


@contextmanager
def proxied(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let each HTTPS connection, to whatever host, end at that server, by a proxy; give the hosts that were asked for."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            host, _, port = server.partition(":")
            with socket.create_connection((host, int(port))) as there:
                self.send_response(200)
                self.end_headers()
                pairs = ((self.connection, there), (there, self.connection))
                threads = [threading.Thread(target=pump, args=pair, daemon=True) for pair in pairs]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(30)

        def log_message(self, *_: Any) -> None:
            pass

    def pump(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        for name in ("NO_PROXY", "no_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        yield asked
        proxy.shutdown()


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Return files of a certificate that signs itself, and of its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, SHA256())
    )
    files = folder / "server.pem", folder / "server.key"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def test_another_machine_is_asked_by_https_through_the_proxy_and_must_be_whom_it_says(
    registry: str, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push(registry, "team/secure", "1", "an image")
    public, private = certificate(tmp_path, "registry.test")
    image = ImageReference.parse("registry.test/team/secure:1")
    tls = {"certificate": str(public), "key": str(private)}
    with image_registry(storage, tls=tls) as host, proxied(host, monkeypatch) as asked:
        with pytest.raises(ImageError, match="CERTIFICATE_VERIFY_FAILED"):
            published(image)
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        assert published(image).digest == digest
        with pytest.raises(ImageError, match="CERTIFICATE_VERIFY_FAILED"):
            published(ImageReference.parse("another.test/team/secure:1"))
        assert published(ImageReference.parse(f"{registry}/team/secure:1")).digest == digest, "this machine, unproxied"
    assert asked == ["registry.test:443", "registry.test:443", "another.test:443"]


def test_https_is_never_left_for_plain_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, private = certificate(tmp_path, "registry.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    answers = iter(
        [
            (307, {"Location": "http://127.0.0.1:1/manifest"}, "redirects to plain HTTP"),
            (401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'}, "by HTTPS"),
        ]
    )
    said = ""

    def answer(_: Any) -> tuple[int, dict[str, str], bytes]:
        nonlocal said
        status, headers, said = next(answers)
        return status, headers, b""

    with serving(answer, context) as host, proxied(host, monkeypatch):
        for _ in range(2):
            with pytest.raises(ImageError) as caught:
                published(ImageReference.parse("registry.test/team/x:1"))
            assert said in str(caught.value)

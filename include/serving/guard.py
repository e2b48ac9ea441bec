"""Middleware of every route: authentication, and limits of concurrent bytes and of the time for a body."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.errors import ConfigError, RequestError
from include.serving import metrics
from include.serving.access import Access, Caller
from include.serving.settings import ServingSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
]
_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """ASGI middleware: it refuses requests that are not permitted, and hides the messages of errors.

    Parameters
    ----------
    anonymous : frozenset of str
        Paths that are answered without asking who calls.
    local_only : bool
        Whether callers must ask for this machine by a name of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        settings: ServingSettings,
        anonymous: frozenset[str],
        *,
        local_only: bool,
    ) -> None:
        self.local_only = local_only
        self.app = app
        self.access = access
        self.settings = settings
        self.anonymous = anonymous
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = {name: value for name, value in scope["headers"] if name in _READ}
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state |= {"request_id": request_id, "model": "", "route": "other", "began": began}
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*_HEADERS, (b"x-request-id", request_id.encode())]
                if scope["scheme"] == "https":
                    own.append(_TRANSPORT)
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        self._requests += 1
        metrics.IN_FLIGHT.set(self._requests)
        reserved = 0
        try:
            self._require_caller(scope, headers, state)
            reserved = self._reserve(scope, headers)
            await self.app(scope, _limited(receive, reserved, self.settings), answer)
        except RequestError as error:
            await _refuse(answer, error)
        except Exception as error:  # noqa: BLE001 - the caller gets an answer, and no log a row
            place = _place(error)
            log.error("Request %s failed: %s at %s", request_id, type(error).__name__, place)
            if status == 500:  # nothing was sent yet
                await _refuse(answer, RequestError("The server failed to answer.", status=500))
        finally:
            self._requests -= 1
            self._bytes -= reserved
            metrics.IN_FLIGHT.set(self._requests)
            metrics.REQUESTS.labels(state["model"], state["route"], str(status)).inc()
            if state["model"]:
                metrics.SECONDS.labels(state["model"]).observe(time.perf_counter() - began)

    def _require_caller(self, scope: Scope, headers: dict[bytes, bytes], state: dict[str, Any]) -> None:
        if scope["path"] in self.anonymous:
            state["caller"] = Caller("anonymous", frozenset())
            return
        if self.local_only and not _LOCAL.fullmatch(headers.get(b"host", b"").decode("latin-1")):
            # A page of another site whose host name resolves to this machine must not be able to send requests.
            raise RequestError(
                "Only requests from this machine are answered.", status=403, expected="localhost or 127.0.0.1 as Host"
            )
        try:
            caller = self.access.caller(headers.get(b"authorization", b"").decode("latin-1"), datetime.now(UTC))
        except ConfigError as error:  # the file is no longer valid: all requests are refused
            log.error("%s", error)
            raise RequestError("Callers can't be authenticated now.", status=503, retry_after=5) from error
        if caller is None:
            raise RequestError("The caller is not known.", status=401, expected="Authorization: Bearer <token>")
        state["caller"] = caller

    def _reserve(self, scope: Scope, headers: dict[bytes, bytes]) -> int:
        """Return how many bytes the body may have, which count until the request is answered."""
        limit = self.settings.max_body_bytes
        if scope["path"] in self.anonymous:
            return 0
        if self._requests > self.settings.max_in_flight:
            raise RequestError("The server is busy.", status=503, retry_after=1)
        if scope["method"] in ("GET", "HEAD"):
            return 0
        if headers.get(b"content-encoding", b"identity") not in (b"identity", b""):
            raise RequestError("Compressed bodies are not accepted.", status=415, expected="no Content-Encoding")
        length = headers.get(b"content-length", b"")
        if not length.isdigit() and b"transfer-encoding" not in headers:
            wanted = 0
        else:
            wanted = int(length) if length.isdigit() and len(length) < 16 else limit
        if wanted > limit or len(length) >= 16:
            raise RequestError("The body is too large.", status=413, expected=f"at most {limit:,} bytes")
        if self._bytes + wanted > self.settings.max_in_flight_bytes:
            raise RequestError("The server is busy.", status=503, retry_after=1)
        self._bytes += wanted
        return wanted


_READ = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"host",
        b"transfer-encoding",
        b"x-request-id",
    }
)


def _limited(receive: Receive, limit: int, settings: ServingSettings) -> Receive:
    """Return a way to receive no more than ``limit`` bytes, in the time that a body has."""
    received = 0
    until = asyncio.get_running_loop().time() + settings.timeout_seconds
    done = False

    async def receive_some() -> Message:
        nonlocal received, done
        if done:  # waiting for the caller to go away goes on
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise RequestError("The body took too long.", status=408) from None
        received += len(message.get("body", b""))
        if received > limit:
            raise RequestError("The body is too large.", status=413, expected=f"at most {limit:,} bytes")
        done = not message.get("more_body", False)
        return message

    return receive_some


def error_body(error: RequestError) -> bytes:
    """Return the error that a caller gets."""
    facts = {"expected": error.expected, "found": error.found, "where": error.where, "remedy": error.remedy}
    said: dict[str, Any] = {"error": error.message}
    said |= {name: str(fact) for name, fact in facts.items() if fact is not None}
    if error.problems:
        said["problems"] = error.problems
    return json.dumps(said).encode()


async def _refuse(send: Send, error: RequestError) -> None:
    body = error_body(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if error.status in (408, 413):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _place(error: BaseException) -> str:
    """Return where an error was raised, without its message, which may contain values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"

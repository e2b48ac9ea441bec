"""Security headers of every response under ``/ratchet``, errors included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No page holds a script; should a value ever slip through a template's escaping, it can't act.
_POLICY = (
    "default-src 'none'; style-src {styles}; img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY.format(styles="'self'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}
WITH_STYLES = {"Content-Security-Policy": _POLICY.format(styles="'unsafe-inline'")}
"""Of a page that is one file, as tasks write it: its styles are in it."""
FOR_GOOD = {"Cache-Control": "private, max-age=86400, immutable"}
"""Of what is addressed by its digest."""


class ResponseHeaders:
    """Middleware that adds the headers to each response that does not have its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, answer)

"""The files that the pages need, each under the digest of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

_TYPES = {
    "models.js": "text/javascript; charset=utf-8",
    "pages.css": "text/css; charset=utf-8",
    "light.svg": "image/svg+xml",
    "dark.svg": "image/svg+xml",
}
FILES = {name: (Path(__file__).parent / "static" / name, kind) for name, kind in _TYPES.items()}


def address(name: str) -> str:
    """Return a file's address below ``/ratchet``; a changed file has another one, so browsers may keep each for good."""
    path, _ = FILES[name]
    return f"static/{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}/{name}"

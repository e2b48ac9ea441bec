"""Parse the name of an image as container engines do."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from include.errors import ConfigError

_REFERENCE = re.compile(r"([\w.:/-]+?)(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?", re.ASCII)
_DOCKER_HUB = ("docker.io", "index.docker.io")


@dataclass(frozen=True)
class ImageReference:
    """An image's name.

    Parameters
    ----------
    name : str
        As it is written, with its registry if that is written.
    tag : str, optional
    digest : str, optional
        ``sha256:`` and 64 digits: the pinned image, also after its tag has moved.
    """

    name: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, where: object = None) -> ImageReference:
        """Return the parts of ``name``, ``name:tag``, ``name@digest`` or ``name:tag@digest``; the first has the tag ``latest``.

        ``where`` is used in the error for an invalid name.
        """
        found = _REFERENCE.fullmatch(text)
        if not found:
            raise ConfigError(
                "This is no name of an image.",
                expected="name:tag or name:tag@sha256:<64 digits>",
                found=text,
                where=where,
            )
        name, tag, digest = found.groups()
        return cls(name, tag if tag or digest else "latest", digest)

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def registry(self) -> str:
        """The host to ask, with its port if it has one."""
        return "registry-1.docker.io" if self._host in ("", *_DOCKER_HUB) else self._host

    @property
    def repository(self) -> str:
        """The path of the image in its registry."""
        path = self.name.removeprefix(f"{self._host}/") if self._host else self.name
        return f"library/{path}" if self.registry == "registry-1.docker.io" and "/" not in path else path

    @property
    def _host(self) -> str:
        first, slash, _ = self.name.partition("/")
        return first if slash and (set(".:") & set(first) or first == "localhost") else ""

    def at(self, digest: str | None) -> ImageReference:
        """Return this image at that digest; at none, by its tag."""
        return replace(self, digest=digest)

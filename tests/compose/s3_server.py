"""moto's S3 server with conditional writes that are atomic; in a container it runs alone, so it imports nothing of the project."""

from __future__ import annotations

import threading
from typing import Any


def let_one_write_at_a_time() -> None:
    """Make moto right: it looks first and writes later, and of fifty processes that race on a busy machine two may win."""
    from moto.s3.responses import S3Response

    put_object, one_at_a_time = S3Response.put_object, threading.Lock()

    def atomic(response: S3Response) -> Any:
        with one_at_a_time:
            return put_object(response)

    S3Response.put_object = atomic  # type: ignore[method-assign]


if __name__ == "__main__":
    import os

    from moto.server import main

    let_one_write_at_a_time()
    # Not from the command line: the compose file gives the arguments of the server that this one stands in for.
    main(["--host", os.environ.get("S3_HOST", "0.0.0.0"), "--port", os.environ.get("S3_PORT", "9000")])

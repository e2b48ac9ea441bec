"""A connection that ends early is told from a file that ends: no part of a file is taken for the whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import find_files
from include.data.sources.formats.text import read_text
from include.errors import StoreUnavailable

ROWS = b"a,b\n" + b"".join(b"%d,text\n" % n for n in range(40_000))


class Server:
    """Answers every GET with a head of its own making and some bytes, and hangs up."""

    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self.body = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                asked = client.recv(2**16)
                if b"list-type=2" in asked:
                    key = b"rows.csv"
                    body = b"<ListBucketResult><Contents><Key>" + key + b"</Key></Contents></ListBucketResult>"
                    head = {"Content-Length": str(len(body))}
                else:
                    body, head = self.body, self.head
                lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
                client.sendall(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{lines}\r\n".encode() + body)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def read(server: Server, doors):
    client: Any = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )

    def read() -> int:
        source = FilesSource.model_validate(
            {
                "kind": "files",
                "path": "s3://b/rows.csv",
                "format": "csv",
                "columns": {"a": {"type": "integer"}, "b": {"type": "string"}},
            }
        )
        (file,) = find_files(source, [], "UTC", None, doors(client))
        return sum(table.num_rows for table in read_text(file, source, "UTC"))

    return read


def test_a_whole_body_is_read(server, read) -> None:
    server.head, server.body = {"Content-Length": str(len(ROWS))}, ROWS
    assert read() == 40_000


@pytest.mark.parametrize("left", [len(ROWS) // 2, ROWS.index(b"\n", 200_000) + 1, len(ROWS) - 1, 0, 3])
def test_a_body_that_ends_early_is_no_answer(server, read, left) -> None:
    server.head, server.body = {"Content-Length": str(len(ROWS))}, ROWS[:left]
    with pytest.raises(StoreUnavailable, match="not deliver a whole file of the source"):
        read()


def test_a_body_with_other_bytes_than_its_etag_says_is_no_answer(server, read) -> None:
    server.head = {"Content-Length": str(len(ROWS)), "ETag": '"1b2cf535f27731c974343645a3985328"'}
    server.body = ROWS
    with pytest.raises(StoreUnavailable, match="MD5"):
        read()


def test_a_body_with_another_checksum_is_no_answer(server, read) -> None:
    server.head = {"Content-Length": str(len(ROWS)), "x-amz-checksum-crc32": "AAAAAA=="}
    server.body = ROWS
    with pytest.raises(StoreUnavailable, match="checksum"):
        read()


def test_the_etag_of_an_object_in_parts_or_with_a_key_of_its_own_is_no_md5(server, read) -> None:
    server.body = ROWS
    for head in (
        {"ETag": '"1b2cf535f27731c974343645a3985328-7"'},
        {"ETag": '"1b2cf535f27731c974343645a3985328"', "x-amz-server-side-encryption": "aws:kms"},
    ):
        server.head = {"Content-Length": str(len(ROWS)), **head}
        assert read() == 40_000

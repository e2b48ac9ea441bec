"""A TCP proxy that loses answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class LossyProxy:
    """Pass bytes on to ``server``; when ``lose`` is positive, drop the answer to a PUT and the connection with it.

    The request has reached the server and taken effect by then.
    """

    def __init__(self, server: str) -> None:
        address = urlsplit(server)
        self._server = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lose = 0
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        putting = threading.Event()

        def forward() -> None:
            with contextlib.suppress(OSError):
                while data := client.recv(1 << 16):
                    if data.startswith((b"PUT ", b"GET ", b"HEAD ")):
                        (putting.set if data.startswith(b"PUT ") else putting.clear)()
                    server.sendall(data)

        threading.Thread(target=forward, daemon=True).start()
        with contextlib.suppress(OSError), client, server:
            held = b""
            while data := server.recv(1 << 16):
                if not (putting.is_set() and self.lose):
                    client.sendall(data)
                    continue
                # "100 Continue" is no answer. A server may send it twice, in one piece with the answer, or torn.
                held += data
                while held.startswith(b"HTTP/1.1 100") and b"\r\n\r\n" in held:
                    head, mark, held = held.partition(b"\r\n\r\n")
                    client.sendall(head + mark)
                if b"\r\n\r\n" in held:
                    self.lose -= 1
                    self.lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return

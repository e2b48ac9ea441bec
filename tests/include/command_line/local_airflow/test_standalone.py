from __future__ import annotations

import socket

from include.command_line.local_airflow.standalone import free_port


def test_a_free_port_is_taken_as_wished():
    port = free_port(0)
    assert free_port(port) == port


def test_a_busy_port_is_answered_with_another():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert free_port(port) not in (0, port)


def test_a_port_that_is_busy_on_every_interface_is_answered_with_another():
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        assert free_port(busy.getsockname()[1]) != busy.getsockname()[1]

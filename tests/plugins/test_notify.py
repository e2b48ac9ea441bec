"""News reach people through Airflow's own notifiers: real servers are told here, and each is told what it asked for."""

from __future__ import annotations

import importlib.util
import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from worlds import FLIGHTS

from include.config.sections.notify import EVENTS, Notification
from include.errors import DataError, QualityError
from ratchet_operators.notify import News, Notify, run_callbacks, task_callbacks
from ratchet_operators.operator import RatchetOperator

SENTENCE = "20130601T000000Z-0123456789, PROMOTE: approved by <ada> & {{ 7 * 7 }}"
NEWS = News("promoted", SENTENCE, "20130601T000000Z-0123456789", "plugin/models/flight_delay")


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as it takes to be handed a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    text += part
                self.server.got.append(text.decode())  # type: ignore[attr-defined]
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 fine\r\n")


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Any]:
    started = []

    def serve(server: Any) -> Any:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield serve
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def web(served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    server = served(HTTPServer(("127.0.0.1", 0), Hook))
    address = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}/hooks/ratchet"}
    monkeypatch.setenv("AIRFLOW_CONN_OPS_HOOK", json.dumps(address))
    slack = {
        "conn_type": "slackwebhook",
        "host": f"http://127.0.0.1:{server.server_port}/services",
        "password": "T/B/x",
    }
    monkeypatch.setenv("AIRFLOW_CONN_OPS_SLACK", json.dumps(slack))
    return server


@pytest.fixture
def mail(served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    server = served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox))
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "ratchet@example.com"}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.server_address[1], "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OPS_MAIL", json.dumps(connection))
    return server


@pytest.fixture(autouse=True)
def address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/base")


def context(news: News | None = NEWS, **facts: Any) -> Any:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="retrain_flight_delay", run_id="manual__2013-06-01T00:00:00+00:00", task_id="promote", pushed=pushed,
        xcom_push=pushed.__setitem__,
    )  # fmt: skip
    return {"task": SimpleNamespace(task_id="promote", news=news), "ti": ti, **facts}


def tell(found: Any, **channel: Any) -> None:
    Notify("flight_delay", Notification(**channel))(found)


LINK = "https://airflow.example/base/plugin/models/flight_delay"


def test_a_webhook_is_posted_the_sentence_and_the_link(web: Any) -> None:
    tell(context(), via="webhook", connection="ops_hook")
    ((path, body),) = web.got
    assert path == "/hooks/ratchet"
    assert body == {
        "event": "promoted", "model": "flight_delay", "version": NEWS.version, "sentence": SENTENCE, "link": LINK,
    }  # fmt: skip


def test_mail_goes_to_every_address_and_what_people_wrote_is_text_in_it(mail: Any) -> None:
    tell(context(), via="smtp", connection="ops_mail", to=("ada@example.com", "grace@example.com"))
    (text,) = mail.got
    message = message_from_string(text, policy=policy.default)
    assert message["Subject"] == "flight_delay: promoted"
    assert "ada@example.com" in message["To"] and "grace@example.com" in message["To"]
    body = message.get_body(("html",)).get_content()
    assert "approved by &lt;ada&gt; &amp; {{ 7 * 7 }}" in body and LINK in body


@pytest.mark.skipif(
    importlib.util.find_spec("slack_sdk") is None, reason="apache-airflow-providers-slack is not installed"
)
def test_slack_is_told_through_its_incoming_webhook(web: Any) -> None:
    tell(context(), via="slack", connection="ops_slack")
    ((path, body),) = web.got
    assert path == "/services/T/B/x"
    assert (
        body["text"]
        == f"*flight_delay: promoted*\n{SENTENCE.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')} <{LINK}|Look>"
    )


@pytest.mark.parametrize("event", EVENTS)
def test_a_channel_is_told_what_it_asked_for_and_nothing_else(web: Any, event: str) -> None:
    wanted = ("refused", "waiting")
    tell(context(News(event, "so it is")), via="webhook", connection="ops_hook", on=wanted)  # type: ignore[arg-type]
    assert [body["event"] for _, body in web.got] == ([event] if event in wanted else [])


def test_a_task_that_has_nothing_to_tell_is_silent_and_one_that_died_is_an_alarm_with_its_log(web: Any) -> None:
    tell(context(None), via="webhook", connection="ops_hook")
    assert web.got == []
    tell(
        context(None, exception=ConnectionError("the database is away\nat line 3")),
        via="webhook",
        connection="ops_hook",
    )
    ((_, body),) = web.got
    assert (body["event"], body["sentence"]) == ("alarm", "promote failed: the database is away")
    run = "manual__2013-06-01T00%3A00%3A00%2B00%3A00"
    assert body["link"] == f"https://airflow.example/base/dags/retrain_flight_delay/runs/{run}/tasks/promote"


def test_a_channel_that_does_not_answer_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OPS_HOOK", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9"}))
    tell(context(), via="webhook", connection="ops_hook")
    tell(context(), via="webhook", connection="no_such_connection")


class Failing(RatchetOperator):
    error: Exception

    def work(self, context: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "event"),
    [(QualityError("carrier holds dogs", report="r", page="p"), "refused"), (DataError("no row"), "alarm")],
)
def test_every_task_of_a_model_tells_its_channels_and_refused_data_are_told_apart(
    web: Any, error: Any, event: str
) -> None:
    model = FLIGHTS.to_json() | {"notify": [{"via": "webhook", "connection": "ops_hook"}]}
    task = Failing(task_id="check", model=model, **task_callbacks(model))
    task.error = error
    with pytest.raises(AirflowFailException) as failed:
        task.execute({})  # type: ignore[arg-type]
    found = {**context(), "task": task, "exception": failed.value}
    for tell_people in task.on_failure_callback:
        tell_people(found)
    ((_, body),) = web.got
    assert (body["event"], body["sentence"]) == (event, error.message)
    assert found["ti"].pushed == {"told": True}
    assert task.on_success_callback and task.on_skipped_callback
    assert task_callbacks(FLIGHTS.to_json()) == {} and run_callbacks(FLIGHTS.to_json()) is None


class Run:
    """A failed run as Airflow tells of it: the states of its tasks, and what they have left."""

    dag_id, run_id, task_id = "retrain_flight_delay", "manual__2013-06-01", "train"

    def __init__(self, told: dict[tuple[str, int], bool], **states: str) -> None:
        self.told, self.states = told, states

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return {self.run_id: self.states}

    def xcom_pull(self, *, task_ids: str, map_indexes: int, key: str) -> bool | None:
        assert key == "told"
        return self.told.get((task_ids, map_indexes))


def of_run(ti: Any, reason: str = "task_failure") -> dict[str, Any]:
    with DAG("retrain_flight_delay") as dag:
        for name in ("ingest", "train", "keep_champion"):
            EmptyOperator(task_id=name)
    return {"dag": dag, "run_id": Run.run_id, "reason": reason} | ({"ti": ti} if ti else {})


HOOK = {"notify": [{"via": "webhook", "connection": "ops_hook"}], "name": "flight_delay"}


def told_of(run: dict[str, Any], web: Any) -> list[str]:
    for tell_people in run_callbacks(HOOK) or ():
        tell_people(run)
    sentences = [body["sentence"] for _, body in web.got]
    assert all(body["event"] == "alarm" and "runs/manual__2013-06-01" in body["link"] for _, body in web.got)
    web.got.clear()
    return sentences


def test_a_failed_run_tells_of_each_task_that_could_not_tell_itself_and_of_no_other(web: Any) -> None:
    states = {"ingest": "success", "train_0": "failed", "train_1": "failed", "keep_champion": "upstream_failed"}
    (sentence,) = told_of(of_run(Run({("train", 0): True}, **states)), web)
    assert sentence == (
        "manual__2013-06-01 failed. train[1] ended without a word: killed, out of memory, or lost with the worker."
    )
    assert told_of(of_run(Run({("train", 0): True, ("train", 1): True}, **states)), web) == []
    (sentence,) = told_of(of_run(Run({}, ingest="failed", keep_champion="failed")), web)
    assert "ingest, keep_champion ended without a word" in sentence


def test_a_run_is_told_of_even_where_airflow_says_little_of_it(web: Any) -> None:
    (sentence,) = told_of(of_run(None), web)
    assert "a task ended without a word" in sentence
    (sentence,) = told_of(of_run(SimpleNamespace(dag_id="d", run_id=Run.run_id, task_id="train")), web)
    assert "train ended without a word" in sentence
    (sentence,) = told_of(of_run(None, "timed_out"), web)
    assert "took longer than its `dagrun_timeout`" in sentence


def test_a_lost_workers_callback_neither_tells_nor_says_that_it_told(web: Any) -> None:
    """The DAG processor calls it without a reason, and perhaps twice; the run's own callback tells."""
    found = context(None)
    for tell_people in task_callbacks(HOOK)["on_failure_callback"]:
        tell_people(found)
    assert web.got == [] and found["ti"].pushed == {}


def test_mail_needs_addresses_and_nothing_else_takes_them() -> None:
    for channel in ({"via": "smtp", "connection": "x"}, {"via": "webhook", "connection": "x", "to": ["a@example.com"]}):
        with pytest.raises(ValueError, match="expected `to` with `via: smtp`, and only there"):
            Notification.model_validate(channel)

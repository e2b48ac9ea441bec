"""What Prometheus is told of models, by a real Prometheus: numbers with one label, and alerts that fire for what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml
from watched import Watched

from include.command_line.local_airflow.standalone import free_port
from include.command_line.metrics_exporter import exporter, numbers
from include.config.load import load_model
from include.config.settings import ROOT
from include.monitoring.report.prometheus_metrics import GAUGES, exposition, gauges_of
from include.monitoring.report.watch_report import watch_report
from include.storage.local import LocalStore

OBSERVABILITY = ROOT / "observability"
RULES = yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"][0]["rules"]


@pytest.fixture(scope="module")
def root(april: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("alerts") / "w"
    shutil.copytree(april, made)
    world = Watched(made / "parcels", LocalStore(made / "store"), load_model(made / "parcels" / "model.yaml"))
    for number in range(1, 12):
        world.monitor(number)
    return made


@pytest.fixture(scope="module")
def promtool() -> Callable[..., str]:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("there is no promtool on this machine: install Debian's package `prometheus`")

    def run(*arguments: str, cwd: Path = OBSERVABILITY) -> str:
        done = subprocess.run([path, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def prometheus(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """A Prometheus that fetches the numbers of a model every second and evaluates the alerts that ship."""
    path = shutil.which("prometheus")
    if path is None:
        pytest.skip("there is no Prometheus on this machine: install Debian's package `prometheus`")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port(19090)
    server = exporter(LocalStore(root / "store"), root, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shutil.copy(OBSERVABILITY / "alerts.yml", folder)
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    (scrape,) = (one for one in config["scrape_configs"] if one["job_name"] == "ratchet")
    scrape |= {"scrape_interval": "2s", "scrape_timeout": "2s"}
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{server.server_port}"]}]
    config |= {"scrape_configs": [scrape], "global": {"scrape_interval": "2s", "evaluation_interval": "1s"}}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                path,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )

    def ask(what: str) -> Any:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/{what}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                if ask("query?query=ratchet_interval_rows")["result"]:
                    break
            except URLError:
                pass
            time.sleep(0.3)
        yield ask
    finally:
        process.terminate()
        process.wait(timeout=30)
        server.shutdown()
        server.server_close()


def test_prometheus_takes_the_configuration_and_the_rules_that_ship(promtool: Callable[..., str]) -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "alerts.yml")


def test_every_number_has_the_model_as_its_only_label_and_says_what_the_report_says(
    prometheus: Callable[[str], Any], root: Path
) -> None:
    model = load_model(root / "parcels" / "model.yaml")
    report = watch_report(LocalStore(root / "store"), model)
    expected = gauges_of(LocalStore(root / "store"), model)
    assert report is not None and set(expected) == set(GAUGES)
    assert expected["ratchet_alarms"] == sum(one.kind != "data_fault" for one in report.alarms)
    for name, value in expected.items():
        (series,) = prometheus(f"query?query={name}")["result"]
        assert (
            set(series["metric"]) == {"__name__", "model", "instance", "job"} and series["metric"]["model"] == "parcels"
        )
        assert float(series["value"][1]) == pytest.approx(value)


def test_the_alerts_of_a_champion_that_falls_short_on_broken_data_fire_and_others_do_not(
    prometheus: Callable[[str], Any],
) -> None:
    wanted = {"RatchetChampionFallsShort", "RatchetBrokenData", "RatchetDrift", "RatchetOutOfDomain"}
    deadline, found = time.monotonic() + 60, {}
    while time.monotonic() < deadline and not wanted <= {name for name, state in found.items() if state == "firing"}:
        found = {one["labels"]["alertname"]: one["state"] for one in prometheus("alerts")["alerts"]}
        time.sleep(0.5)
    assert {name for name, state in found.items() if state == "firing"} == wanted
    pending = {name for name, state in found.items() if state == "pending"}
    assert pending == {"RatchetNotWatched", "RatchetRetrainingNotTaken"}, "they wait for what `for` says"


def test_each_alert_fires_for_what_it_says_and_only_then(promtool: Callable[..., str], tmp_path: Path) -> None:
    """By promtool's own evaluation: a series of numbers in which exactly one thing is wrong, and one in which nothing is."""
    day = 86_400
    good = {
        "ratchet_performance_short": 0, "ratchet_probation_worse": 0, "ratchet_audit_findings": 0, "ratchet_data_faults": 0,
        "ratchet_interval_end_timestamp_seconds": 2 * day, "ratchet_interval_seconds": day,
        "ratchet_alarm_timestamp_seconds": 0, "ratchet_out_of_domain_ratio": 0.01, "ratchet_requests_pending": 0,
        "ratchet_waiting_approvals": 0, "ratchet_last_decision": 1, "ratchet_champion_since_timestamp_seconds": 0,
    }  # fmt: skip
    wrong: dict[str, dict[str, float | None]] = {
        "RatchetChampionFallsShort": {"ratchet_performance_short": 1},
        "RatchetWorseThanPredecessor": {"ratchet_probation_worse": 1},
        "RatchetAuditFailed": {"ratchet_audit_findings": 3},
        "RatchetBrokenData": {"ratchet_data_faults": 2},
        "RatchetDrift": {"ratchet_alarm_timestamp_seconds": 2 * day},
        "RatchetOutOfDomain": {"ratchet_out_of_domain_ratio": 0.3},
        "RatchetNotWatched": {"ratchet_interval_end_timestamp_seconds": -4 * day},
        "RatchetRetrainingNotTaken": {"ratchet_requests_pending": 1},
        "RatchetApprovalWaits": {"ratchet_waiting_approvals": 1},
        "RatchetNoChampion": {"ratchet_champion_since_timestamp_seconds": None},
    }
    assert set(wrong) == {rule["alert"] for rule in RULES}
    tests = []
    for alert, change in {"": {}, **wrong}.items():
        series = {name: value for name, value in {**good, **change}.items() if value is not None}
        rules = []
        for rule in RULES:
            expected = [{"exp_labels": {"model": "m", "severity": rule["labels"]["severity"]}}]
            found = expected if rule["alert"] == alert else []
            rules.append({"eval_time": "26h", "alertname": rule["alert"], "exp_alerts": found})
        if alert == "RatchetNotWatched":  # the newest alarm is then as near to the newest interval
            series["ratchet_alarm_timestamp_seconds"] = -10 * day
        inputs = [{"series": f'{name}{{model="m"}}', "values": f"{value}x1600"} for name, value in series.items()]
        tests.append({"interval": "1m", "input_series": inputs, "alert_rule_test": rules})
    for test in tests:
        for one in test["alert_rule_test"]:
            for expected in one["exp_alerts"]:
                rule = next(rule for rule in RULES if rule["alert"] == one["alertname"])
                said = rule["annotations"]["summary"].replace("{{ $labels.model }}", "m")
                expected["exp_annotations"] = {"summary": re.sub(r"{{ \$value \| humanizePercentage }}", "30%", said)}
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": [str(OBSERVABILITY / "alerts.yml")], "evaluation_interval": "1m", "tests": tests})
    )
    assert "SUCCESS" in promtool("test", "rules", "tests.yml", cwd=tmp_path)


def test_the_panels_ask_prometheus_for_every_number_and_get_an_answer(prometheus: Callable[[str], Any]) -> None:
    dashboard = json.loads((OBSERVABILITY / "grafana" / "ratchet.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    ours = [one for one in asked if re.search(r"(?<!airflow_)\bratchet_", one)]
    assert {name for one in ours for name in re.findall(r"\bratchet_\w+", one)} == set(GAUGES)
    for one in ours:
        assert prometheus(f"query?query={quote(one)}")["result"], one


def test_a_model_that_can_not_be_read_does_not_hide_the_others(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "parcels", tmp_path / "models" / "other")
    shutil.copytree(root / "parcels", tmp_path / "models" / "parcels")
    path = tmp_path / "models" / "other" / "model.yaml"
    path.write_text(path.read_text().replace("name: parcels", "name: other"))
    shutil.copytree(root / "store", tmp_path / "store")
    shutil.copytree(tmp_path / "store" / "parcels", tmp_path / "store" / "other")
    (tmp_path / "store" / "other" / "ledger" / "00000001.json").write_text("{}")
    text = numbers(LocalStore(tmp_path / "store"), tmp_path / "models")
    assert 'ratchet_alarms{model="parcels"}' in text and "other" not in text
    assert exposition({}) == ""

"""What operators import is true: each metric and label that dashboard and alert rules name is one that is scraped."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salesforce_poller.admin import gauges, meters
from salesforce_poller.model import Kind

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
ALERTS = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "salesforce-poller.json").read_text(encoding="utf-8"))
#: Every series that there is, with its labels; Prometheus adds job and instance.
SERIES = {series: {*meter.labels, "le"} for meter in meters.METERS for series in meter.series}
#: Those of prometheus_client's own collector that are used; on Linux only.
OF_PROCESS = {
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
#: What the labels hold whose values are words of ours.
WORDS = {
    "kind": {*gauges.FEED_KINDS, *gauges.SINK_KINDS, *(kind.value for kind in Kind)},
    "outcome": {"accepted", "retried", "dead", "filtered", "ok", "half", "failed"},
}


def rules() -> dict[str, str]:
    """Return each alert's rule as it stands, by name."""
    found = re.split(r"^ +- alert: ", ALERTS, flags=re.MULTILINE)[1:]
    return {rule.partition("\n")[0]: rule for rule in found}


def expression(rule: str) -> str:
    """Return what an alert asks, on one line."""
    asked = re.search(r"^ +expr: (?:>-\n)?(.*?)\n +(?:for|labels):", rule, flags=re.MULTILINE | re.DOTALL)
    assert asked, rule
    return " ".join(asked[1].split())


def panels() -> list[dict[str, Any]]:
    """Return what the dashboard shows, without the rows."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Return everything that is asked of Prometheus."""
    yield from map(expression, rules().values())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")


@pytest.mark.parametrize("asked", [*expressions()])
def test_each_name_that_is_asked_for_is_scraped(asked: str) -> None:
    """Metrics with the suffixes that they have, labels that the metric has, and words that a label holds."""
    names = re.findall(r"\b(?:salesforce_poller|process)_[a-z_]+", asked)
    assert names or re.search(r"\bup\{", asked)
    assert [name for name in names if name not in SERIES and name not in OF_PROCESS] == []
    known = {"job", "instance", *(label for name in names for label in SERIES.get(name, ()))}
    for inside in re.findall(r"\{([^}]*)\}|\b(?:by|on) \(([^)]*)\)", asked):
        told = re.findall(r"(\w+) ?(?:=~|!~|!=|=)", inside[0]) + re.findall(r"\w+", inside[1])
        assert set(told) <= known, asked
    for label, values in re.findall(r'(kind|outcome)(?:=~|!~|!=|=)"([^"]*)"', asked):
        assert set(values.split("|")) <= WORDS[label], asked


def test_each_metric_is_shown() -> None:
    """A dashboard that leaves one out hides what somebody wanted to be seen."""
    shown = " ".join(expressions())
    assert [meter.name for meter in meters.METERS if not any(series in shown for series in meter.series)] == []


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    """With how bad it is; and what a person must know has an alert."""
    assert len(rules()) >= 12
    for name, rule in rules().items():
        assert re.search(r"^ +severity: (critical|warning)$", rule, flags=re.MULTILINE), name
        assert re.search(r'^ +summary: ".+"$', rule, flags=re.MULTILINE), name
        said = re.search(r"^ +description: >-\n((?: {12}.+\n)+)", rule, flags=re.MULTILINE)
        assert said, name
        assert len(said[1].split()) >= 15, name


def test_the_dashboard_can_be_imported() -> None:
    """Its rows, its variables, ids that differ, and nothing that lies over something else."""
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Overview", "Feeds", "Org limits", "Deliveries", "Leases", "Process"]
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "job", "org", "sink"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, a part of Prometheus, is not installed")
def test_the_rules_do_what_they_should() -> None:
    """By Prometheus' own tool, on series that are written down beside them."""
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(
            ["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

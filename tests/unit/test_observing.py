"""The page about metrics and the dashboard name what the server has, all of it and nothing else."""

import json
import re

from prometheus_client import CollectorRegistry

from app.db import connect
from app.settings import ROOT
from app.web.gauges import Gauges
from app.web.metrics import METRICS
from app.workers.place import WHOLE

PAGE = ROOT / "docs" / "observing.md"
DASHBOARD = ROOT / "docs" / "grafana" / "tuneshift.json"
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def families():
    """List (name, type, labels, help) of everything `/metrics` can say."""
    found = [(c._name, c._type, c._labelnames, c._documentation) for c in METRICS._collector_to_names]
    database = connect("sqlite://")
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE generationrun (total INTEGER, done INTEGER, state TEXT)")
    registry = CollectorRegistry()
    registry.register(Gauges(database, ROOT, WHOLE))
    found += [(family.name, family.type, (), family.documentation) for family in registry.collect()]
    database.dispose()
    return found


def metric_rows():
    return [
        f"| `{name}{ENDINGS[kind][0] if kind == 'counter' else ''}` | {kind} | {', '.join(labels) or '–'} | {words} |"
        for name, kind, labels, words in families()
    ]


def test_the_page_has_a_row_for_every_metric_as_the_code_describes_it():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `tuneshift_")]
    assert rows == metric_rows()


def test_every_query_of_the_dashboard_asks_for_a_metric_there_is():
    samples = {f"{name}{ending}" for name, kind, *_ in families() for ending in ENDINGS[kind]}
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\btuneshift_\w+", query)}
    assert len(queries) >= len(panels) > 8
    assert asked <= samples
    # And all that is counted can be seen.
    assert all(any(f"{name}{ending}" in asked for ending in ENDINGS[kind]) for name, kind, *_ in families())


def test_the_labels_of_a_query_are_those_of_its_metric():
    known = {name: set(labels) | {"le"} for name, _, labels, _ in families()}
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    for query in (target["expr"] for panel in panels for target in panel["targets"]):
        metric = next(name for name in sorted(known, key=len, reverse=True) if name in query)
        for by in re.findall(r"by \(([^)]*)\)", query):
            assert set(re.split(r",\s*", by)) <= known[metric], query


def test_panels_do_not_lie_over_one_another():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    places = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)

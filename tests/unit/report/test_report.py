"""The files of a report: complete, harmless, the same data in each, and split where the fleet is large."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.report import page, snapshots
from ansible_collections.mlops.onprem.plugins.module_utils.report.snapshots import Snapshots
from ansible_collections.mlops.onprem.plugins.module_utils.report.write import Hosts, write
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.assessment import assess
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.planned import planned_hosts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .fleet import fleet, gpu_server, judged_by, shipped


class Strict(HTMLParser):
    """Every tag that is opened is closed, in order; ids are unique; links stay inside the report."""

    EMPTY = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        values = dict(attrs)
        assert "src" not in values
        assert tag != "script"
        assert not any(name.startswith("on") for name in values)
        if "id" in values:
            self.ids.append(values["id"])
        if "href" in values:
            self.links.append(values["href"])

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert not parser.open
    assert len(parser.ids) == len(set(parser.ids))
    return parser


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_is_whole_and_shows_every_row(tmp_path, language):
    result = write(tmp_path, fleet(), judged_by(), language=language)
    text = (tmp_path / "index.html").read_text()
    document = parsed(text)
    assert f'<html lang="{language}">' in text
    for row in result["rows"]:
        if not row["host_error"]:
            assert row["check"] in text
    for link in document.links:
        assert link.startswith("#")
        assert link[1:] in document.ids
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    words = ("Einkaufsliste", "Arbeitsspeicher") if language == "de" else ("To buy", "Memory")
    for word in words:
        assert word in text


def test_a_german_page_has_no_english_sentence_of_a_requirement(tmp_path):
    write(tmp_path, fleet(), judged_by(), language="de")
    text = re.sub(r"<[^>]*>", " ", (tmp_path / "index.html").read_text())
    for demand in shipped():
        for key in ("why", "remedy"):
            assert demand[key] not in text, demand["id"]


def test_the_purchase_list_says_what_and_where(tmp_path):
    write(tmp_path, fleet(), judged_by())
    text = (tmp_path / "index.html").read_text()
    # gpu2 has 4 of 32 slots filled, gpu3 cards of 16 GB, registry1 too little memory.
    for words in (
        "at least 12 memory modules (28 slots are free)",
        "4 GPUs of the 48 GB class in place of smaller ones",
        "GiB more memory (1 slot is free)",
        "1 × network card of 10 Gb/s",
    ):
        assert words in text


def test_waivers_stand_on_the_first_page_and_are_no_gap(tmp_path):
    waiver = {"check": "registry.memory", "host": "registry1", "reason": "ordered, J. Doe", "until": "2999-12-31"}
    result = write(tmp_path, fleet(), judged_by(waived=[waiver]))
    text = (tmp_path / "index.html").read_text()
    parsed(text)
    gaps, _head, waivers = text[text.index("<h2>Gaps</h2>") :].partition("<h2>Waivers</h2>")
    assert "ordered, J. Doe (until 2999-12-31)" in waivers
    assert 'class="small">registry.memory<' not in gaps
    assert all("registry.memory" not in entry["checks"] for entry in result["purchases"])


def test_data_files_hold_the_same_rows(tmp_path):
    result = write(tmp_path, fleet(), judged_by())
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["schema"] == 1
    assert document["rows"] == json.loads(json.dumps(result["rows"]))
    assert document["hosts"] == json.loads(json.dumps(fleet()))
    assert document["purchases"]
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["host"], row["check"], row["status"]) for row in rows] == [
        (row["host"], row["check"], row["status"]) for row in result["rows"]
    ]


def test_a_spreadsheet_takes_no_cell_for_a_formula(tmp_path):
    hosts = {"=cmd()": {"facts": None, "profiles": ["base"], "error": "@x"}}
    write(tmp_path, hosts, judged_by(workloads=[]))
    with (tmp_path / "report.csv").open() as file:
        row = next(iter(csv.DictReader(file)))
    assert (row["host"], row["host_error"]) == ("'=cmd()", "'@x")


def test_many_hosts_are_split_over_pages(tmp_path):
    hosts = {f"gpu{number:03d}": {"facts": gpu_server(), "profiles": ["base"], "error": ""} for number in range(230)}
    (tmp_path / "hosts-0099.html").write_text("of a larger fleet")
    write(tmp_path, hosts, judged_by(workloads=[]))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["hosts-0001.html", "hosts-0002.html", "hosts-0003.html", "index.html", "report.csv", "report.json"]
    index = parsed((tmp_path / "index.html").read_text())
    pages = {name: parsed((tmp_path / name).read_text()) for name in names if name.startswith("hosts-")}
    for link in index.links:
        file, _sign, anchor = link.partition("#")
        assert not anchor or anchor in pages[file].ids
    assert {anchor for one in pages.values() for anchor in one.ids} == {f"host-{name}" for name in hosts}


def test_bad_data_leaves_the_old_report_as_it_was(tmp_path):
    write(tmp_path, fleet(), judged_by())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError):
        write(tmp_path, {**fleet(), "bad": {"profiles": ["nonsense"]}}, judged_by())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_snapshots_give_the_same_verdicts_elsewhere(tmp_path):
    first, saved, second = (tmp_path / name for name in ("first", "saved", "second"))
    for folder in (first, saved, second):
        folder.mkdir()
    live = write(first, fleet(), judged_by(), save_to=saved)
    again = write(second, Hosts({}, Snapshots(saved)), judged_by())
    by_host = {(row["host"], row["check"]): row for row in live["rows"]}
    assert {(row["host"], row["check"]): row for row in again["rows"]} == by_host


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gpu1.json", "{", "cannot be read"),
        ("gpu1.json", "[]", "is no snapshot of schema 1"),
        ("gpu1.json", '{"schema": 2}', "is no snapshot of schema 1"),
        ("gpu1.json", '{"schema": 1, "host": "gpu2"}', "is of the host 'gpu2'"),
        ("gpu1.json", "[" * 100_000, "cannot be read"),
        ("gpu1.json", "\xff\xfe", "cannot be read"),
        ("notes.txt", "", "holds no HOST.json"),
    ],
)
def test_a_bad_snapshot_is_named(tmp_path, name, text, said):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=re.escape(str(tmp_path))) as error:
        list(Snapshots(tmp_path).values())
    assert said in str(error.value)


def test_a_host_whose_name_is_a_path_is_not_saved(tmp_path):
    with pytest.raises(DataError, match="cannot be a file name"):
        snapshots.save(tmp_path, "../gpu1", {"facts": None}, "now")
    assert not list(tmp_path.iterdir())


def test_a_name_that_stands_twice_is_an_error():
    with pytest.raises(DataError, match="'gpu1': stands in two"):
        Hosts({"gpu1": {}}, planned_hosts([{"name": "gpu1"}]))


def test_planned_hosts_are_judged_and_marked(tmp_path):
    plan = [
        {"name": "new", "count": 2, "profiles": ["gpu_training"], "gpus": 8, "gpu_class_gb": 141, "memory_gib": 2048}
    ]
    result = write(tmp_path, Hosts(fleet(), planned_hosts(plan)), judged_by())
    rows = {row["check"]: row for row in result["rows"] if row["host"] == "new-2"}
    assert rows["gpu_training.gpu_memory"]["status"] == "pass"
    assert rows["gpu_training.threads"]["status"] == "unknown"
    assert all(row["planned"] for row in rows.values())
    assert any("new-2 (planned)" in line for line in result["lines"])
    assert '<span class="mark">planned</span>' in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"nam": "x"}, "name: None is not a text"),
        ({"name": "x", "memory_gb": 4}, "did you mean 'memory_gib'?"),
        ({"name": "x", "gpus": 8}, "gpu_class_gb: is missing"),
        ({"name": "x", "gpus": 8, "gpu_class_gb": 82}, "did you mean 80?"),
        ({"name": "x", "memory_gib": -1}, "is not a number of at least 0"),
        ({"name": "x", "memory_gib": "4 GB"}, "is not a number of at least 0"),
        ({"name": "x", "count": 1e6}, "is more than 10000"),
        ({"name": "x", "storage_tb": 1, "storage_at": "srv"}, "is not an absolute path"),
    ],
)
def test_a_bad_plan_is_named(entry, said):
    with pytest.raises(DataError, match="planned host") as error:
        planned_hosts([entry])
    assert said in str(error.value)


def test_flows_and_findings_are_in_the_report(tmp_path):
    hosts = fleet()
    hosts["gpu1"]["survey"] = {
        "reach": [{"address": "10.0.0.5", "port": 443, "answer": "timeout", "addresses": ["10.0.0.5"]}],
        "limits": {"reboot_required": True},
        "listeners": [{"protocol": "tcp", "port": 443, "program": "apache2", "pid": 4, "address": "0.0.0.0"}],
        "time": {"synchronized": True, "services": ["chronyd"], "offset_seconds": 30.0, "offset_error_seconds": 0.1},
    }
    hosts["gpu1"]["ports"] = {443: "model_registry"}
    flows = [{"from": ["gpu1", "gpu2"], "to": "registry1", "address": "10.0.0.5", "port": 443, "why": "models"}]
    result = write(tmp_path, hosts, judged_by(), flows=flows)
    assert [(row["from"], row["status"]) for row in result["flows"]] == [("gpu1", "fail"), ("gpu2", "unknown")]
    text = (tmp_path / "index.html").read_text()
    for words in ("Who reaches whom", "Ask the network team", "survey.port.443", "apache2", "survey.clock_offset"):
        assert words in text
    parsed(text)


hostile = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "in_use", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(gpu_server())), hostile, hostile)
def test_hostile_facts_make_a_page(tmp_path, key, value, survey):
    hosts = {"a<b>": {"facts": {**gpu_server(), key: value}, "profiles": ["base", "gpu_training"], "survey": survey}}
    result = write(tmp_path, hosts, judged_by())
    parsed((tmp_path / "index.html").read_text())
    assert result["rows"] == assess(hosts, **judged_by())["rows"]
    json.loads((tmp_path / "report.json").read_text())


def test_a_hundred_hosts_are_one_page():
    assert page.HOSTS_A_PAGE == 100

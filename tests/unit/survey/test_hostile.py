"""Files made to hurt: nothing raises, hangs, leaves the root, or tells a secret."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ansible_collections.mlops.onprem.plugins.module_utils.survey import (
    containers,
    dns,
    findings,
    ini,
    listeners,
    matrix,
    packages,
    skew,
    sources,
)
from ansible_collections.mlops.onprem.plugins.module_utils.survey.facts import gather
from hardware.trees import DAMAGES, damage, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .machine import SECRETS, SERVER

RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PATHS = sorted(SERVER)
CONTENT = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"", b"[", b"[a]\n k\n  v", b"[a]\nk\n v", b'A { B "', b"/*", b"9" * 5000, b"\0" * 100, b"Types: deb\n x"]
    ),
)


@RELAXED
@given(
    st.dictionaries(
        st.sampled_from(PATHS),
        st.one_of(CONTENT, st.sampled_from(DAMAGES)),
        max_size=12,
    )
)
def test_a_damaged_machine_still_gives_facts(changes):
    with tempfile.TemporaryDirectory() as name:
        root = write(Path(name), SERVER)
        damage(root, changes)
        facts = gather(str(root), ["a"], [{"host": "b", "port": 1}])
    text = json.dumps(facts)
    assert len(facts) == 12
    assert not any(secret in text for secret in SECRETS)
    findings.survey_findings("h", facts, {443: "x"})


def test_a_whole_machine_of_pretended_gigabytes(tmp_path):
    write(tmp_path, SERVER)
    for path in PATHS:
        place = tmp_path / path.lstrip("/")
        if place.is_file() and not place.is_symlink() and "dpkg" not in path and "net/" not in path:
            with place.open("r+b") as handle:
                handle.truncate(2**30)
    assert gather(str(tmp_path))["schema"] == 1


def test_a_link_to_a_secret_outside_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("deb http://outside.example/ x y")
    root = write(tmp_path / "root", {"/etc/apt/sources.list": f"-> {outside}"})
    assert gather(str(root))["sources"] == []


@RELAXED
@given(data=st.binary(max_size=2000))
def test_parsers_take_any_bytes(data):
    text = data.decode("utf-8", "replace")
    list(packages.parse_dpkg(data))
    list(packages.parse_rpm(text, text))
    listeners.parse_table(text, "tcp")
    listeners.parse_address(text)
    containers.parse_sockets(text)
    dns.parse_resolv_conf(text)
    dns.parse_hosts(text)
    ini.sections(text)
    ini.assignments(text)
    ini.apt_settings(text)
    list(ini.paragraphs(text))
    sources.parse_list(text, "")
    sources.parse_deb822(text, "")
    sources.parse_repo(text, "", {})


def test_comments_and_quotes_without_end_take_no_time():
    assert ini.apt_settings("/* " * 20000) == []
    assert ini.apt_settings('"\n' * 20000 + "{" * 20000) == []


LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
KEYS = st.sampled_from(
    [
        *(
            "containers",
            "engines",
            "packages",
            "held",
            "broken",
            "listeners",
            "time",
            "services",
            "synchronized",
            "dns",
        ),
        *("names", "sources", "reach", "limits", "offset_seconds", "offset_error_seconds", "versions", "own_addresses"),
        *("name", "answer", "address", "port", "program", "milliseconds", "addresses", "enabled", "url", "protocol"),
    ]
)
ANY = st.recursive(
    LEAF, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=6)), max_leaves=20
)


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_any_survey_gives_rows(survey):
    rows = findings.survey_findings("h", survey, {443: "x", "80": {"role": "y", "programs": ["nginx"]}})
    json.dumps(rows)
    assert len({row["check"] for row in rows}) == len(rows)
    assert len(matrix.matrix({"h": survey}, [{"from": ["h"], "to": "b", "port": 1}])) == 1
    assert len(skew.clock_rows({"h": survey, "i": None})) == 2

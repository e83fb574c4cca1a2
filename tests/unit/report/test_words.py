"""Both languages say the same things, and what verdicts say is said in German, too."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.report.sentences import purchase
from ansible_collections.mlops.onprem.plugins.module_utils.report.words import LANGUAGES, Words
from ansible_collections.mlops.onprem.plugins.module_utils.survey.findings import survey_findings
from ansible_collections.mlops.onprem.plugins.module_utils.survey.matrix import matrix
from ansible_collections.mlops.onprem.plugins.module_utils.survey.skew import clock_rows

from .fleet import ROOT, shipped

REPORT = ROOT / "plugins/module_utils/report"


def test_both_languages_have_the_same_keys_and_fields():
    english, german = LANGUAGES["en"], LANGUAGES["de"]
    assert set(english) == set(german)
    for key, text in english.items():
        assert sorted(re.findall(r"{(\w*)}", text)) == sorted(re.findall(r"{(\w*)}", german[key])), key
        assert text.count("|") == german[key].count("|"), key


def test_every_word_is_used():
    source = "".join(path.read_text() for path in REPORT.glob("*.py") if path.stem not in ("english", "german"))
    for key in LANGUAGES["en"]:
        # Words of a status are put together; singulars are chosen by the number.
        assert key.startswith("status.") or f'"{key.removesuffix("_1")}"' in source or f"'{key}'" in source, key


@pytest.mark.parametrize("demand", shipped(), ids=lambda demand: demand["id"])
def test_every_shipped_requirement_is_translated(demand):
    texts = demand["translations"]["de"]
    assert set(texts) == {"title", "why", "remedy"}
    for key, text in texts.items():
        assert text
        # A title may be the same word in both.
        assert key == "title" or text != demand[key]


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("7.8 GiB", "7,8 GiB"),
        (">= 4 GiB (-7 %)", ">= 4 GiB (-7 %)"),
        ("does not apply", "entfällt"),
        ("1 GPU with 37.2 GiB (35.1 to 46.8)", "1 GPU mit 37,2 GiB (35,1 bis 46,8)"),
        (
            "8 of the 80 GB class on gpu1, 2 of the 16 GB class on gpu2",
            "8 der 80-GB-Klasse auf gpu1, 2 der 16-GB-Klasse auf gpu2",
        ),
        ("32 GB class", "32-GB-Klasse"),
        ("GPUs for tune", "GPUs für tune"),
        (
            "Add 8 more GPUs of the 64 GB class, or 4 more GPUs of the 94 GB class.",
            "Ergänzen: 8 GPUs der 64-GB-Klasse oder 4 GPUs der 94-GB-Klasse.",
        ),
        ("what a site wrote 1.2.3.4", "what a site wrote 1.2.3.4"),
    ],
)
def test_what_verdicts_say(english, german):
    assert Words("de").say(english) == german
    assert Words("en").say(english) == english


CARD = {"count": 8, "class_gb": 80, "replace": False}


@pytest.mark.parametrize(
    ("entry", "english", "german"),
    [
        (
            {"item": "gpu", "options": [CARD, {**CARD, "count": 4, "class_gb": 141}]},
            "8 more GPUs of the 80 GB class, or 4 more GPUs of the 141 GB class",
            "8 weitere GPUs der 80-GB-Klasse oder 4 weitere GPUs der 141-GB-Klasse",
        ),
        (
            {"item": "gpu", "options": [{**CARD, "count": 1, "replace": True}]},
            "1 GPU of the 80 GB class in place of a smaller one",
            "1 GPU der 80-GB-Klasse anstelle der kleineren",
        ),
        ({"item": "gpu", "options": [{**CARD, "count": 1, "class_gb": None}]}, "1 more GPU", "1 weitere GPU"),
        (
            {"item": "nic", "count": 1, "bits_per_second": 1e11},
            "1 × network card of 100 Gb/s",
            "1 × Netzwerkkarte mit 100 Gb/s",
        ),
        (
            {"item": "dimm", "count": 12, "slots_free": 20},
            "at least 12 memory modules (20 slots are free)",
            "mindestens 12 Speichermodule (20 Steckplätze sind frei)",
        ),
        (
            {"item": "memory", "size_bytes": 1.5 * 2**30, "slots_free": None},
            "1.5 GiB more memory",
            "1,5 GiB zusätzlicher Arbeitsspeicher",
        ),
        (
            {"item": "storage", "size_bytes": 2.5e12, "at": "/srv"},
            "2.5 TB more storage at /srv",
            "2,5 TB zusätzlicher Speicherplatz unter /srv",
        ),
        (
            {"item": "server", "threads": 64},
            "a server with at least 64 CPU threads",
            "ein Server mit mindestens 64 CPU-Threads",
        ),
    ],
)
def test_purchases_in_words(entry, english, german):
    assert purchase(Words("en"), entry) == english
    assert purchase(Words("de"), entry) == german


# A host with everything in the way; a second one for what excludes the first.
SURVEYS = {
    "a": {
        "containers": {
            "engines": [{"name": "docker"}, {"name": "podman"}],
            "kubernetes_node": True,
            "slurm_node": True,
        },
        "packages": {
            "nvidia_installer": ["/var/log/nvidia-installer.log"],
            "broken": [{"name": "nginx", "state": "half-configured"}],
            "held": ["nginx"],
            "versions": {"nginx": "1"},
        },
        "listeners": [{"protocol": "tcp", "port": 443, "program": "apache2", "pid": 1, "address": "::"}],
        "time": {
            "synchronized": False,
            "services": ["ntpd", "chronyd"],
            "offset_seconds": 9,
            "offset_error_seconds": 0.1,
        },
        "dns": {
            "hostname": "a",
            "own_name_loopback_only": True,
            "own_addresses": ["127.0.1.1"],
            "nameservers": ["10.0.0.1"],
            "names": [{"name": "b", "asked": True, "addresses": None, "reason": "not known"}],
        },
        "sources": [
            {"url": "http://mirror.example", "enabled": True, "answer": "timeout", "via": "direct", "where": "apt"}
        ],
        "limits": {
            "reboot_required": True,
            "reboot_packages": ["linux-image"],
            "automatic_updates": ["unattended-upgrades"],
        },
        "reach": [
            {"address": name, "port": 1, "answer": name, "addresses": []}
            for name in ("open", "refused", "timeout", "unreachable", "unresolved")
        ],
    },
    "b": {
        "listeners": [{"protocol": "tcp", "port": 443, "program": None, "address": "::"}],
        "time": {"synchronized": None, "services": [], "offset_seconds": -3, "offset_error_seconds": 0.1},
        "dns": {"hostname": "b", "own_addresses": []},
        "limits": {"reboot_required": True},
    },
    "c": {"time": {"synchronized": True, "offset_seconds": None}},
}


def sentences() -> set[str]:
    """Every title, finding and remedy that these surveys make."""
    flows = [
        {"from": ["a", "c"], "to": name, "port": 1}
        for name in ("open", "refused", "timeout", "unreachable", "unresolved")
    ]
    rows = [*matrix(SURVEYS, flows), *clock_rows(SURVEYS), *clock_rows({"x": SURVEYS["a"], "y": SURVEYS["a"]})]
    for host, survey in {**SURVEYS, "lost": None}.items():
        rows += survey_findings(host, survey, {443: "model_registry"})
    return {row[key] for row in rows for key in ("title", "found", "remedy") if row.get(key)}


# Names of packages and programs are the same in every language.
SAME = re.compile(r"docker, podman|nginx.*|ntpd, chronyd|unattended-upgrades|/var/log.*|b \(not known\)|http.*")


def test_what_the_survey_says_is_said_in_german():
    said = sentences()
    assert len(said) > 40
    for text in said:
        assert Words("de").say(text) != text or SAME.fullmatch(text), text

"""Real sockets of this computer, and lookups that a test stands in for."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.survey import dns, reach, sources
from ansible_collections.mlops.onprem.plugins.module_utils.survey.facts import gather


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed():
    """A port that is bound and not listened to: nobody else can take it meanwhile."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def asked(host, port, seconds=5.0):
    probe = reach.Probe(host, port, seconds)
    reach.run_all([probe], seconds)
    return probe.result


def test_open_and_refused(listening, closed):
    assert asked("127.0.0.1", listening).answer == "open"
    refused = asked("127.0.0.1", closed)
    assert refused.answer == "refused"
    assert refused.addresses == ["127.0.0.1"]
    assert refused.reason


def test_nothing_is_sent_over_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        assert asked("127.0.0.1", server.getsockname()[1]).answer == "open"
        connection, _place = server.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(1) == b""


def places(*addresses):
    return lambda *_args, **_more: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 1)) for text in addresses]


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (socket.timeout("timed out"), "timeout"),
        (OSError(113, "No route to host"), "unreachable"),
        (OSError(101, "Network is unreachable"), "unreachable"),
        (ConnectionRefusedError(111, "Connection refused"), "refused"),
        (ConnectionResetError(104, "reset"), "refused"),
        (OSError(110, "Connection timed out"), "timeout"),
        (PermissionError(1, "Operation not permitted"), "unreachable"),
    ],
)
def test_what_the_kernel_says(error, answer, monkeypatch):
    def connect(_self, _place):
        raise error

    class Deaf(socket.socket):
        pass

    monkeypatch.setattr(Deaf, "connect", connect)
    monkeypatch.setattr(reach.socket, "socket", Deaf)
    assert asked("127.0.0.1", 9).answer == answer


def test_the_best_of_several_addresses_counts(monkeypatch):
    answers = {"a": ("timeout", ""), "b": ("refused", "no"), "c": ("unreachable", "")}
    monkeypatch.setattr(reach.socket, "getaddrinfo", places("a", "b", "c"))
    monkeypatch.setattr(reach, "knock", lambda _family, place, _seconds: answers[place[0]])
    assert asked("many", 1)[0::3] == ("refused", "no")


def test_a_silent_address_leaves_time_for_the_next(monkeypatch):
    given = []
    monkeypatch.setattr(reach.socket, "getaddrinfo", places("a", "b"))
    monkeypatch.setattr(reach, "knock", lambda _family, _place, seconds: given.append(seconds) or ("timeout", ""))
    asked("many", 1, 4.0)
    assert given[0] <= 2.0
    assert given[1] <= 4.0


def test_unknown_names(monkeypatch):
    def fails(*_args, **_more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(reach.socket, "getaddrinfo", fails)
    assert asked("nobody.example", 1)[0::3] == ("unresolved", "Name or service not known")


@pytest.mark.parametrize("name", ["a" * 70 + ".example", "..", "a\0b", "\ud800"])
def test_a_name_that_is_none_is_unresolved(name):
    assert asked(name, 1).answer == "unresolved"


def test_forty_silent_ones_wait_together(monkeypatch):
    waiting = threading.Barrier(40)

    def silent(_family, _place, _seconds):
        # Passes only when all forty are here at the same time.
        waiting.wait(timeout=20)
        return "timeout", ""

    monkeypatch.setattr(reach, "knock", silent)
    probes = [reach.Probe("127.0.0.1", port, 20.0) for port in range(1, 41)]
    reach.run_all(probes, 20.0)
    assert {probe.result.answer for probe in probes} == {"timeout"}
    assert not waiting.broken


@pytest.mark.parametrize(("part", "answer"), [("look_up", "unresolved"), ("knock", "timeout")])
def test_a_thread_that_hangs_is_left_behind(part, answer, monkeypatch):
    release, left = threading.Event(), threading.Event()

    def hang(*_args):
        release.wait(60)
        left.set()
        raise OSError("late")

    if part == "look_up":
        monkeypatch.setattr(reach, "look_up", hang)
    else:
        monkeypatch.setattr(reach, "knock", lambda *_args: release.wait(60) and left.set() or ("open", ""))
    monkeypatch.setattr(reach, "GRACE_SECONDS", 0.0)
    try:
        assert asked("127.0.0.1", 1, 0.05).answer == answer
    finally:
        release.set()
        assert left.wait(60)


def test_without_threads_the_probes_still_run(listening, monkeypatch):
    def start(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(reach.threading.Thread, "start", start)
    assert asked("127.0.0.1", listening).answer == "open"


@pytest.fixture
def quiet(monkeypatch):
    """The live machine's own sources are not asked in tests."""
    monkeypatch.setattr(dns, "own_name", lambda _tree: "localhost")
    for reader in ("read_apt", "read_dnf", "read_pip"):
        monkeypatch.setattr(sources, reader, lambda *_args: [])
    return sources


def test_targets_of_the_running_machine(listening, closed, quiet):
    targets = [
        {"host": "db", "address": "127.0.0.1", "port": listening, "why": "w"},
        {"host": "127.0.0.1", "port": closed},
    ]
    facts = gather("/", ["127.0.0.1"], targets, 5.0, environment={}, started=time.time())
    assert [(item["host"], item["answer"]) for item in facts["reach"]] == [("db", "open"), ("127.0.0.1", "refused")]
    assert facts["dns"]["names"][0]["addresses"] == ["127.0.0.1"]
    taken = [item for item in facts["listeners"] if item["port"] == listening]
    assert taken[0]["address"] == "127.0.0.1"
    json.dumps(facts)


def test_a_source_is_asked_through_its_proxy(listening, closed, quiet, monkeypatch):
    source = quiet.Source("pip", "index-url", "x", f"http://127.0.0.1:{closed}/simple", True)
    monkeypatch.setattr(quiet, "read_pip", lambda *_args: [source])
    environment = {"http_proxy": f"http://u:geheim@127.0.0.1:{listening}"}
    (through,) = gather("/", seconds=5.0, environment=environment)["sources"]
    (direct,) = gather("/", seconds=5.0, environment={**environment, "no_proxy": "127.0.0.1"})["sources"]
    assert (through["answer"], through["via"]) == ("open", f"http://***@127.0.0.1:{listening}")
    assert (direct["answer"], direct["via"]) == ("refused", "direct")


def test_probe_false_asks_nothing(monkeypatch):
    def refuse(*_args, **_more):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(reach.socket, "getaddrinfo", refuse)
    monkeypatch.setattr(reach.socket, "socket", refuse)
    facts = gather("/", ["a"], [{"host": "b", "port": 1}], probe=False, environment={})
    assert facts["reach"][0]["answer"] is None
    assert facts["dns"]["names"][0]["asked"] is False


def test_sources_are_left_alone_when_asked_to(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "ansible_collections.mlops.onprem.plugins.module_utils.survey.facts.run_all",
        lambda probes, seconds: asked.extend(item.host for item in probes),
    )
    facts = gather("/", ["a"], [{"host": "b", "port": 1}], environment={}, probe_sources=False)
    assert set(asked) <= {"a", "b", facts["dns"]["hostname"]}
    assert "b" in asked
    assert {source["answer"] for source in facts["sources"]} <= {None}

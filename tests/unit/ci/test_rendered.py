"""What is written for which input, and what is refused before anything is."""

from __future__ import annotations

import re

import pytest

from .rendered import render

WORKERS = [
    {"name": "a", "password": "the password of a", "labels": ["gpu", "large"], "gpus": 2},
    {"name": "b", "password": "the password of b", "labels": ["cpu"]},
]
KEY = {"ssh_key": "-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n", "known_hosts": "git.example.test ssh-ed25519 AAAA"}
FRAUD = {"name": "fraud", "repository": "ssh://git@git.example.test/fraud.git"}
GOOD = {
    "bare": {},
    "projects": {
        "workers": WORKERS,
        "git": True,
        "server_name": "ci.example.test",
        "projects": [
            {**FRAUD, "credentials": KEY, "labels": ["gpu"], "branches": ["main", "try/*", "v1.0"]},
            {"name": "own", "secrets": [{"name": "TOKEN", "value": "of own"}], "environment": {"A": "b"}},
        ],
        "git_keys": [{"name": "dev", "key": "ssh-ed25519 AAAA dev", "write": ["own"]}],
    },
    "database": {"database": {"host": "db.example.test", "password": "with:colon\\and \"quotes'", "name": "a/b"}},
    "six": {"listen_address": "fd00::1"},
    "less": {"found": {"secrets": ["worker_gone", "git_key", "git_key.pub"]}},
    "less-with-git": {"git": True, "found": {"secrets": ["worker_gone", "git_key", "git_key.pub"]}},
}
PROJECT = {"workers": WORKERS}
BAD = {
    "state": ({"state": "there"}, "use present or absent"),
    "remove": ({"remove_data": True}, "goes with ci_server_state: absent only"),
    "version": ({"version": "1.0"}, "has no lock"),
    "all-addresses": ({"listen_address": "0.0.0.0"}, "give the host's management address"),  # noqa: S104
    "ports": ({"port": 9989}, "two different ports"),
    "names": ({"server_name": "a b"}, "must be DNS names or addresses"),
    "folders": ({"git_dir": "/srv"}, "must be two absolute paths"),
    "no-password": ({"database": {"host": "db"}}, "ci_server_database is given without password"),
    "two-users": ({"users": [{"name": "admin"}]}, "must be different names"),
    "worker-name": ({"workers": [{"name": "a b"}]}, "the names of ci_server_workers must be"),
    "gpus": ({"workers": [{"name": "a", "gpus": -1}]}, "gpus of ci_server_workers is from 0 to 64"),
    "project-name": ({**PROJECT, "projects": [{**FRAUD, "name": "a/b"}]}, "the names of ci_server_projects must be"),
    "unknown-key": (
        {**PROJECT, "projects": [{**FRAUD, "branch": "main"}]},
        "has no key branch; there are name, repository",
    ),
    "homeless": ({**PROJECT, "projects": [{"name": "fraud"}]}, "no repository. Name it, or have this host keep it"),
    "in-the-clear": ({**PROJECT, "projects": [{**FRAUD, "repository": "http://x/y"}]}, "anybody on the way"),
    "password-in-url": ({**PROJECT, "projects": [{**FRAUD, "repository": "https://u:p@x/y"}]}, "give credentials"),
    "any-server": ({**PROJECT, "projects": [{**FRAUD, "credentials": {"ssh_key": "x"}}]}, "without known_hosts"),
    "no-worker": ({"projects": [FRAUD]}, "no worker of ci_server_workers has all the labels of fraud"),
    "no-such-label": ({**PROJECT, "projects": [{**FRAUD, "labels": ["gpu", "cpu"]}]}, "all the labels of fraud"),
    "pipeline": ({**PROJECT, "projects": [{**FRAUD, "pipeline": "../x"}]}, "a path inside the repository"),
    "polling": ({**PROJECT, "projects": [{**FRAUD, "poll_seconds": 1}]}, "poll_seconds of ci_server_projects is 0"),
    "variable": ({**PROJECT, "projects": [{**FRAUD, "environment": {"MLOPS_X": "1"}}]}, "do not begin with MLOPS_"),
    "key": ({"git_keys": [{"name": "a", "key": "no key"}]}, "public SSH keys of one line each"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    cases = {**GOOD, **{name: case for name, (case, _text) in BAD.items()}}
    return render(tmp_path_factory.mktemp("ci"), cases)


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_is_refused(found, name):
    said = " ".join(found[name]["refused"].split())
    assert BAD[name][1] in said
    assert said.startswith(f"{name}: ") and said.endswith("Nothing was changed.")


def test_projects_get_the_workers_that_have_their_labels(found):
    projects = {project["name"]: project for project in found["projects"]["site"]["projects"]}
    assert projects["fraud"]["workers"] == ["a"]
    assert projects["own"]["workers"] == ["a", "b"]


def test_branches_are_patterns_of_the_whole_name(found):
    pattern = found["projects"]["site"]["projects"][0]["branches_re"]
    wanted = {
        "main": True,
        "try/x/y": True,
        "v1.0": True,
        "mainline": False,
        "v1x0": False,
        "a/main": False,
        "try": False,
    }
    assert {name: bool(re.match(pattern, name)) for name in wanted} == wanted


def test_own_repositories_are_reached_with_the_own_key(found):
    fraud, own = found["projects"]["site"]["projects"]
    assert (own["repository"], own["ssh_key"]) == ("ssh://git@ci.example.test:22/own.git", "git_key")
    assert own["host_key"] == {"name": "ci.example.test", "file": "/etc/ssh/ssh_host_ed25519_key.pub"}
    assert (fraud["ssh_key"], fraud["known_hosts"], fraud["host_key"]) == (
        "project_fraud_ssh_key",
        KEY["known_hosts"],
        None,
    )


def test_secrets_are_in_files_of_their_own_and_nowhere_else(found):
    data = found["projects"]
    folder = "/etc/buildbot/secrets"
    assert data["secrets"] == {
        f"{folder}/worker_a": "the password of a\n",
        f"{folder}/worker_b": "the password of b\n",
        f"{folder}/project_fraud_ssh_key": KEY["ssh_key"],
        f"{folder}/project_own_variable_TOKEN": "of own\n",
        "/etc/buildbot/pgpass": None,
    }
    rest = str(data["files"]) + str(data["site"])
    assert not [value for value in data["secrets"].values() if value and value.strip() in rest]
    assert {data["modes"][path] for path in data["secrets"] if path.startswith(folder)} == {"0640"}


def test_a_secret_that_nothing_uses_any_more_is_removed(found):
    folder = "/etc/buildbot/secrets"
    gone = {"pgpass": "/etc/buildbot/pgpass", "worker": f"{folder}/worker_gone"}
    assert {path for path, text in found["less-with-git"]["secrets"].items() if text is None} == set(gone.values())
    everything = {*gone.values(), f"{folder}/git_key", f"{folder}/git_key.pub"}
    assert {path for path, text in found["less"]["secrets"].items() if text is None} == everything


def test_a_given_database_has_its_password_in_a_file_that_libpq_reads(found):
    data = found["database"]
    assert data["secrets"]["/etc/buildbot/pgpass"] == "*:*:*:*:with\\:colon\\\\and \"quotes'\n"
    assert data["modes"]["/etc/buildbot/pgpass"] == "0600"
    url = data["site"]["database_url"]
    assert (
        url.startswith("postgresql+psycopg2://buildbot@/a%2Fb?") and "sslmode=verify-full" in url and "colon" not in url
    )
    assert "postgresql" not in data["packages"] and "postgresql" in found["bare"]["packages"]


def test_addresses_of_both_kinds(found):
    assert found["bare"]["site"]["worker_port"].startswith("ssl:9989:interface=10.0.0.1:privateKey=/etc/")
    assert found["six"]["site"]["worker_port"].startswith(r"ssl:9989:interface=fd00\:\:1:privateKey=/etc/")
    assert "listen [fd00::1]:8010 ssl;" in found["six"]["files"]["/etc/nginx/conf.d/mlops-onprem-ci-server.conf"]


def test_keys_are_restricted_to_one_program(found):
    lines = found["projects"]["files"]["/var/lib/mlops-onprem-ci-git/.ssh/authorized_keys"].splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        f'restrict,command="/usr/bin/python3 /usr/local/lib/mlops-onprem/ci-git/serve.py {who}" {key}'
        for who, key in (("buildbot", "ssh-ed25519 AAAA CI builds"), ("key-dev", "ssh-ed25519 AAAA dev"))
    ]

"""The files of the runners, against the documented formats, and GitLab's against what its runner makes of it."""

from __future__ import annotations

import ast
import json

import pytest
import yaml
from ansible_collections.mlops.onprem.plugins.module_utils.ci import (
    act_config,
    buildbot_config,
    github_config,
    gitlab_config,
    toml,
)
from ansible_collections.mlops.onprem.plugins.module_utils.ci.plan import plan
from hypothesis import given
from hypothesis import strategies as st

from .machines import nvidia, options

tomllib = pytest.importorskip("tomllib")

SECRET = {"id": "7", "uuid": "37633331-3539-3165-3862-363732323561", "token": "glrt-canary"}


def slot(**more):
    made = plan(options(slots=[{"name": "gpu0", "gpus": [0], "labels": ["gpu", "big:host"]}], **more), [nvidia(0)])
    return {**made["slots"][0], **({"labels": ["gpu", "big:host"]})}


def files(**more):
    return {
        "url": "https://git.example.com",
        "scope": "org:acme",
        "executor": "docker",
        "work_dir": "/var/lib/mlops-ci",
        "image": "debian:12",
        "pull_policy": "always",
        "slice": "mlops-ci.slice",
        "stop_timeout": 3600,
        "job_timeout": "3h",
        "container_host": "unix:///run/docker.sock",
        "min_free_gb": 10,
        "health_script": "/usr/local/lib/mlops-onprem/ci-health",
        "master": "ci.example.com:9989",
        "master_tls": True,
        **more,
    }


# TOML.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a = 1\n# b = 2\n",
        "a = \"x # no comment\" # but this is\nb = 'C:\\raw'\n",
        "a = [1, 2,\n  3, # three\n]\nb = { c = 1, d.e = [ ] }\n",
        'a = """\none\\\n   two "" x"""\nb = \'\'\'\nraw\\n\'\'\'\n',
        "[a]\nb = true\n[a.c]\nd = -1.5\n[[e]]\nf = 1\n[e.g]\nh = 0\n[[e]]\nf = 2\n",
        'a.b.c = 1\n"quoted key" = "\\u00e9\\t"\n',
        "a = 0x1F\nb = 1_000\nc = 1e3\n",
    ],
)
def test_toml_is_read_as_by_pythons_own_reader(text):
    assert toml.loads(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    "text", ["a = ", "a = 1 2", "[a\n", "a = [1", 'a = "x', "a = 1\na = 2", "= 1", "a", 'a = "\\q"', "a = 1\n[a.b]\n"]
)
def test_what_is_no_toml_is_refused_with_its_line(text):
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    with pytest.raises(toml.Unreadable, match="line [0-9]+: "):
        toml.loads("\n\n" + text)


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
TABLES = st.recursive(
    st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4),
    lambda inner: st.dictionaries(
        st.text(min_size=1, max_size=6), inner | st.lists(inner, min_size=1, max_size=2) | VALUES, max_size=4
    ),
    max_leaves=6,
)


@given(TABLES)
def test_what_is_written_is_read_again_by_both_readers(table):
    text = toml.dumps(table)
    assert tomllib.loads(text) == table
    assert toml.loads(text) == table


def test_dates_stay_what_they_are():
    text = "token_expires_at = 0001-01-01T00:00:00Z\n"
    assert toml.dumps(toml.loads(text)) == text


# GitLab.


def wanted(**more):
    return gitlab_config.document(slot(), files(**more), SECRET)


def as_the_runner_writes_it(document, **own):
    """The same with what the runner adds: its own keys, zero values, another order."""
    runner = dict(reversed(list(document["runners"][0].items())))
    runner.update(
        {
            "token_obtained_at": toml.Stamp("2026-11-30T06:00:00Z"),
            "token_expires_at": toml.Stamp("0001-01-01T00:00:00Z"),
            **own,
        }
    )
    runner["custom_build_dir"] = {}
    runner["docker"] = {
        **runner["docker"],
        "tls_verify": False,
        "disable_entrypoint_overwrite": False,
        "shm_size": 0,
        "network_mtu": 0,
    }
    runner["cache"] = {"MaxUploadedArchiveSize": 0, "s3": {}, "gcs": {}, "azure": {}}
    globals_ = {key: value for key, value in document.items() if key not in ("runners", "check_interval")}
    return toml.dumps(
        {
            **globals_,
            "check_interval": 3,
            "connection_max_age": "",
            "session_server": {"session_timeout": 0},
            "runners": [runner],
        }
    )


def test_a_slot_of_gitlab():
    document = wanted(
        ca_file="/etc/ca.pem", cache={"server": "s3.example.com", "access_key": "k", "secret_key": "s", "bucket": "ci"}
    )
    read = tomllib.loads(gitlab_config.merge("", document))
    runner = read["runners"][0]
    assert (read["concurrent"], runner["limit"], runner["request_concurrency"]) == (1, 1, 1)
    assert (runner["id"], runner["token"], runner["tls-ca-file"]) == (7, "glrt-canary", "/etc/ca.pem")
    assert runner["docker"]["gpus"] == "device=GPU-00000000-aaaa-bbbb-cccc-000000000000"
    assert runner["docker"]["privileged"] is False
    assert runner["docker"]["cgroup_parent"] == "mlops-ci.slice"
    assert runner["docker"]["container_labels"] == {"mlops.onprem.slot": "gpu0"}
    assert runner["cache"]["s3"]["PathStyle"] is True
    shell = tomllib.loads(gitlab_config.merge("", wanted(executor="shell")))["runners"][0]
    assert "CUDA_VISIBLE_DEVICES=GPU-00000000-aaaa-bbbb-cccc-000000000000" in shell["environment"]
    assert "docker" not in shell


def test_what_the_runner_wrote_is_as_wished():
    text = as_the_runner_writes_it(wanted())
    assert gitlab_config.merge(text, wanted()) is text


def test_a_rotated_token_and_its_dates_stay_when_something_else_changes():
    text = as_the_runner_writes_it(wanted(), token="glrt-rotated", token_expires_at=toml.Stamp("2027-01-01T00:00:00Z"))
    assert gitlab_config.merge(text, wanted()) is text
    runner = tomllib.loads(gitlab_config.merge(text, wanted(image="debian:13")))["runners"][0]
    assert runner["docker"]["image"] == "debian:13"
    assert runner["token"] == "glrt-rotated"
    assert runner["token_expires_at"].year == 2027
    again = gitlab_config.merge(text, wanted(image="debian:13"))
    assert gitlab_config.merge(again, wanted(image="debian:13")) is again


def test_a_runner_that_was_made_anew_takes_the_place_of_the_old_one():
    text = as_the_runner_writes_it(wanted(), token="glrt-rotated")
    other = gitlab_config.document(slot(), files(), {"id": "8", "token": "glrt-new"})
    runners = tomllib.loads(gitlab_config.merge(text, other))["runners"]
    assert [runner["token"] for runner in runners] == ["glrt-new"]


def test_sections_of_others_and_what_somebody_set_by_hand():
    text = as_the_runner_writes_it(wanted()) + '\n[[runners]]\nname = "of others"\ntoken = "glrt-other"\n'
    assert gitlab_config.merge(text, wanted()) is text
    changed = tomllib.loads(gitlab_config.merge(text, wanted(image="x")))
    assert [runner["name"] for runner in changed["runners"]] == ["node1-gpu0", "of others"]
    # Privileged containers are not "nothing": this is not as wished.
    by_hand = as_the_runner_writes_it(wanted()).replace("privileged = false", "privileged = true")
    assert tomllib.loads(gitlab_config.merge(by_hand, wanted()))["runners"][0]["docker"]["privileged"] is False


def test_a_file_that_cannot_be_read_is_not_written():
    with pytest.raises(toml.Unreadable, match="line 2"):
        gitlab_config.merge("concurrent = 1\n[[runners\n", wanted())


# Forgejo and Gitea.


def test_the_uuid_is_derived_from_the_secret():
    """The example of Forgejo's documentation."""
    assert act_config.uuid_of("7c31591e8b67225a116d4a4519ea8e507e08f71f") == "37633331-3539-3165-3862-363732323561"


def test_another_end_of_the_secret_is_the_same_runner():
    assert act_config.uuid_of("7c31591e8b67225a" + "0" * 24) == act_config.uuid_of("7c31591e8b67225a" + "f" * 24)


def test_a_slot_of_forgejo():
    made = act_config.forgejo(slot(), files(), {**SECRET, "token": "7c31591e8b67225a116d4a4519ea8e507e08f71f"})
    read = yaml.safe_load(act_config.yaml(made))
    assert read == made
    connection = read["server"]["connections"]["forge"]
    assert connection == {
        "url": "https://git.example.com",
        "uuid": "37633331-3539-3165-3862-363732323561",
        "token": "7c31591e8b67225a116d4a4519ea8e507e08f71f",
    }
    assert read["runner"]["labels"] == ["gpu:docker://debian:12", "big:host"]
    assert read["runner"]["capacity"] == 1
    assert read["container"]["options"] == (
        "--cgroup-parent mlops-ci.slice --label mlops.onprem.slot=gpu0 --device nvidia.com/gpu=GPU-00000000-aaaa-bbbb-cccc-000000000000"
    )


def test_a_slot_of_gitea():
    read = yaml.safe_load(
        act_config.yaml(act_config.gitea(slot(), files(executor="shell", job_hook="/usr/local/lib/ci-job")))
    )
    assert read["runner"]["file"] == "/var/lib/mlops-ci/gpu0/.runner"
    assert read["runner"]["hooks"]["job_started"] == "/usr/local/lib/ci-job-started.sh"
    assert read["health_check"]["min_free_disk_space_mb"] == 10000
    assert read["runner"]["labels"] == ["gpu:host", "big:host"]
    assert read["runner"]["envs"]["CUDA_VISIBLE_DEVICES"] == "GPU-00000000-aaaa-bbbb-cccc-000000000000"
    assert "server" not in read


def test_what_gitea_left_on_the_host():
    text = json.dumps(
        {"WARNING": "x", "id": 3, "uuid": "u", "name": "n", "token": "canary", "address": "https://g", "labels": []}
    )
    assert act_config.registered(text) == {"id": "3", "uuid": "u", "name": "n", "address": "https://g"}
    assert act_config.registered("") == act_config.registered("[]") == act_config.registered('{"uuid": ""}') == {}


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,6}", fullmatch=True) | st.sampled_from(["y", "NO", "1", "null", "a b"]),
        st.text(max_size=20) | st.booleans() | st.integers(),
        max_size=5,
    )
)
def test_no_text_is_taken_for_another_type(table):
    assert yaml.safe_load(act_config.yaml({"a": table, "b": list(table)})) == {"a": table, "b": list(table)}


# GitHub.


def test_what_github_left_on_the_host():
    text = "\ufeff" + json.dumps(
        {"agentId": 5, "agentName": "node1-gpu0", "gitHubUrl": "https://github.com/acme", "poolId": 1}
    )
    assert github_config.registered(text) == {"id": "5", "name": "node1-gpu0", "url": "https://github.com/acme"}
    assert github_config.registered("") == github_config.registered("{}") == {}


def test_the_files_of_github():
    text = github_config.env(
        slot(), files(job_hook="/usr/local/lib/ci-job", environment={"HTTPS_PROXY": "http://proxy:3128"})
    )
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["ACTIONS_RUNNER_HOOK_JOB_STARTED"] == "/usr/local/lib/ci-job-started.sh"
    assert lines["ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE"] == "1"
    assert lines["CUDA_VISIBLE_DEVICES"] == "GPU-00000000-aaaa-bbbb-cccc-000000000000"
    assert lines["HTTPS_PROXY"] == "http://proxy:3128"
    assert github_config.path(files()).count("\n") == 1


@pytest.mark.parametrize(
    ("scope", "url"),
    [("org:acme", "acme"), ("repo:acme/models", "acme/models"), ("enterprise:acme", "enterprises/acme")],
)
def test_what_config_sh_is_asked_with(scope, url):
    found = github_config.inputs(slot(), files(scope=scope))
    assert found["ACTIONS_RUNNER_INPUT_URL"] == f"https://git.example.com/{url}"
    assert found["ACTIONS_RUNNER_INPUT_LABELS"] == "gpu,big:host"
    assert "ACTIONS_RUNNER_INPUT_REPLACE" not in found
    assert "ACTIONS_RUNNER_INPUT_TOKEN" not in found


# Buildbot.


@pytest.mark.parametrize(
    ("master", "tls", "folder", "text"),
    [
        ("ci.example.com:9989", True, "/etc/ca", "tls:host=ci.example.com:port=9989:trustRoots=/etc/ca"),
        ("ci.example.com:9989", True, "", "tls:host=ci.example.com:port=9989"),
        ("[2001:db8::1]:9989", True, "", "tls:host=2001\\:db8\\:\\:1:port=9989"),
        ("127.0.0.1:9989", False, "/etc/ca", "tcp:host=127.0.0.1:port=9989"),
    ],
)
def test_where_a_worker_connects(master, tls, folder, text):
    assert buildbot_config.connection(master, tls, folder) == text


def test_a_worker_of_buildbot():
    password = "quote ' \" backslash \\ brace {x}"
    text = buildbot_config.tac(slot(), files(), {"token": password})
    call = next(
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Worker"
    )
    arguments = [ast.literal_eval(node) for node in call.args[:4]]
    assert arguments == [None, None, "node1-gpu0", password]
    # By this line, the program knows that the folder is a worker's.
    assert "\napplication = service.Application('buildbot-worker')\n" in text

"""What people rely on: who gets in, and what becomes of a push, whatever dies in between.

The order matters: tests that stop or change something come last, and put it right again.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import urllib.parse
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
sys.path[:0] = [str(SHARED), str(SHARED / "ci_server")]

from again import Again  # noqa: E402
from ci import (  # noqa: E402
    FAILURE,
    NAME,
    PIPELINE,
    PORT,
    RETRY,
    SUCCESS,
    WORKERS_PORT,
    Developer,
    Server,
    shell,
)


class Role(Again):
    environment = {"ANSIBLE_FORCE_COLOR": "false"}  # noqa: RUF012


@pytest.fixture(scope="module")
def state(host):
    return Path(host.backend.ansible_runner.inventory_file).parent / ".mlops"


@pytest.fixture(scope="module")
def server(host, state):
    return Server(host, state / "secrets")


@pytest.fixture(scope="module")
def developer(host, state):
    person = Developer(host, state / "key_of_a_developer")
    person.clone("fraud")
    person.clone("scoring")
    return person


@pytest.fixture(scope="module")
def role(host):
    return Role(host, Path(__file__).resolve().parents[1] / "converge.yml")


def invocation(host, unit):
    return shell(host, f"systemctl show --property=InvocationID --value {unit}")


def said(host, unit):
    """The log since the unit's last start."""
    return shell(host, f"journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID={invocation(host, unit)}")


def secrets_of(state):
    """All that must be seen nowhere: what was generated, and what the playbook gives."""
    generated = {path.read_text().strip() for path in (state / "secrets").glob("ci_server_*")}
    assert len(generated) >= 5
    return generated | {"a secret of all builds", "a secret of promotion"}


def test_every_page_wants_a_login(server):
    for path in ("/", "/config", "/api/v2/masters", "/api/v2/builders", "/artifacts/", "/ws", "/sse/listen", "/avatar"):
        assert server.ask(path, login=())[0] == 401, path
        assert server.ask(path, login=("admin", "not the password"))[0] == 401, path
    assert server.ask("/")[0] == 200
    assert server.ask("/api/v2/masters", login=("alice", server.password("user_alice")))[0] == 200


def test_only_its_own_names_are_served(server):
    for name in (f"{NAME}:{PORT}", NAME, f"localhost:{PORT}", f"{server.address}:{PORT}"):
        assert server.ask("/api/v2/masters", host=name)[0] == 200, name
    assert server.ask("/api/v2/masters", host="evil.example.test")[0] == 403


def test_who_is_there_is_said_by_the_proxy_alone(server):
    """A header of a client must not make an administrator of somebody else."""
    alice = ("alice", server.password("user_alice"))
    status, headers, _text = server.ask("/", login=alice, **{"X-Remote-User": "admin"})
    assert status == 200
    cookie = headers["Set-Cookie"].split(";")[0]
    user = json.loads(server.ask("/config", login=alice, Cookie=cookie)[2])["user"]
    assert user["username"] == "alice"


def test_the_socket_is_open_to_the_proxy_alone(host):
    for user, code in (("nobody", 1), ("git", 1), ("ci-worker-a", 1), ("www-data", 0)):
        test = "import socket; socket.socket(socket.AF_UNIX).connect('/run/buildbot/www/socket')"
        result = host.run(f'runuser -u {user} -- python3 -c "{test}"')
        assert result.rc == code, user


def test_the_hook_announces_and_does_nothing_else(server):
    hook = ("hook", server.password("hook_password"))
    assert server.ask("/api/v2/masters", login=hook)[0] == 401
    change = urllib.parse.urlencode({"repository": "https://nowhere.example.test/x", "branch": "main", "author": "x"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _headers, text = server.ask("/change_hook/base", "POST", change, login=hook, **form)
    assert (status, text) == (200, "1 change found")
    assert server.ask("/change_hook/base", "POST", change, login=(), **form)[0] == 401
    assert server.ask("/change_hook/base", "POST", change, **form)[0] == 401
    assert server.ask("/change_hook/base?branch=main", login=hook)[0] == 403


def test_only_ports_with_tls_listen_beyond_this_host(host, server):
    lines = [line.split()[3] for line in shell(host, "ss -Hltn").splitlines()]
    beyond = {line for line in lines if not re.match(r"127\.|\[::1\]", line)}
    ours = {f"{server.address}:{PORT}", f"{server.address}:{WORKERS_PORT}"}
    assert ours <= beyond and {line.rsplit(":", 1)[1] for line in beyond - ours} <= {"22"}


@pytest.mark.parametrize("port", [PORT, WORKERS_PORT])
def test_old_tls_and_no_tls_are_refused(server, port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.connect(port, context)
    with socket.create_connection((server.address, port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200" not in plain.recv(100)


def test_the_server_is_as_closed_as_it_should_be(host):
    kinds = {
        "/etc/buildbot": "750 root:buildbot",
        "/etc/buildbot/secrets": "750 root:buildbot",
        "/etc/buildbot/site.json": "640 root:buildbot",
        "/var/lib/buildbot/master": "700 buildbot:buildbot",
        "/etc/mlops-onprem/ci-server-logins/people": "640 root:www-data",
        "/etc/mlops-onprem/tls/ci_server/key.pem": "640 root:buildbot",
        "/run/buildbot/www": "750 buildbot:www-data",
        "/srv/ci-git/fraud.git": "755 git:git",
        "/srv/ci-git": "750 git:buildbot",
    }
    for path, kind in kinds.items():
        assert shell(host, f"stat -c '%a %U:%G' {path}") == kind, path
    for line in shell(host, "stat -c '%a %U:%G' /etc/buildbot/secrets/*").splitlines():
        assert line == "640 root:buildbot"
    exposure = shell(host, "systemd-analyze security --no-pager buildbot.service | tail -1", code=None)
    assert float(re.search(r"(\d+\.\d+)", exposure)[1]) < 3.0, exposure


def test_a_push_is_built_and_promoted_on_its_branch(server, developer):
    revision = developer.commit("fraud", pipeline=PIPELINE, bad="")
    build = server.built("fraud", revision)
    assert build["results"] == SUCCESS
    names = [step["name"] for step in server.steps(build)]
    assert names[-6:] == ["checkout", "pipeline", "train", "evaluate", "promote", "artifacts"]
    assert "promoted" in server.log(build, "promote")
    status, headers, text = server.ask(f"/artifacts/fraud/{build['number']}/model.txt")
    assert (status, text) == (200, "hello from main\n")
    assert "sandbox" in headers["Content-Security-Policy"]


def test_another_branch_is_built_and_not_promoted(server, developer):
    revision = developer.commit("fraud", branch="try")
    build = server.built("fraud", revision)
    assert build["results"] == SUCCESS
    promote = next(step for step in server.steps(build) if step["name"] == "promote")
    assert promote["hidden"] and promote["results"] not in (SUCCESS, FAILURE)


def test_a_failed_evaluation_is_red_and_promotes_nothing(server, developer):
    revision = developer.commit("fraud", bad="worse than the threshold")
    build = server.built("fraud", revision)
    assert build["results"] == FAILURE
    results = {step["name"]: step["results"] for step in server.steps(build)}
    assert results["train"] == SUCCESS and results["evaluate"] == FAILURE and "promote" not in results
    # What was made so far is kept.
    assert server.ask(f"/artifacts/fraud/{build['number']}/model.txt")[0] == 200
    assert server.built("fraud", developer.commit("fraud", bad=""))["results"] == SUCCESS


def test_a_mistake_in_the_pipeline_file_ends_the_build_and_names_the_line(server, developer):
    wrong = PIPELINE.replace("artifacts:", "artefacts:")
    build = server.built("fraud", developer.commit("fraud", branch="mistake", pipeline=wrong))
    assert build["results"] == FAILURE
    assert ".mlops/pipeline.yml, line 4: the pipeline has no key 'artefacts'" in server.log(build, "pipeline")
    assert [step["name"] for step in server.steps(build)][-1] == "pipeline"
    assert "line 4" in build["state_string"] + server.steps(build)[-1]["state_string"]


def test_only_branches_of_the_configuration_are_promoted(server, developer):
    other = PIPELINE.replace("promote: main", "promote: mine")
    build = server.built("fraud", developer.commit("fraud", branch="mine", pipeline=other))
    assert build["results"] == FAILURE
    assert "the server promotes main of fraud" in server.log(build, "pipeline")


def test_a_step_has_a_time_limit(server, developer):
    slow = "steps:\n  - {name: wait, run: sleep 300, timeout: 2s}\n"
    build = server.built("fraud", developer.commit("fraud", branch="slow", pipeline=slow))
    assert build["results"] == FAILURE and "timed out" in server.log(build, "wait")


def test_administrators_start_builds_and_others_do_not(server):
    alice = ("alice", server.password("user_alice"))
    asked = {"path": "forceschedulers/force-fraud", "method": "force", "branch": "main", "reason": "a test"}
    status, text = server.control(login=alice, **asked)
    assert status == 403, text
    before = len(server.builds("fraud"))
    status, text = server.control(**asked)
    assert status == 200, text
    server.wait(lambda: len(server.builds("fraud")) > before and server.builds("fraud")[-1]["complete"])


def test_git_is_for_those_who_may(host, developer):
    assert "this account is for Git only" in developer.run(f"$GIT_SSH_COMMAND git@{NAME} id", code=1)
    assert "there is no repository nothing" in developer.run(f"git ls-remote ssh://git@{NAME}/nothing.git", code=128)
    assert "for Git only" in developer.run(f"git ls-remote ssh://git@{NAME}/../../etc.git", code=128)
    # The key of the builds reads and does not write.
    shell(host, "install -m 0600 /etc/buildbot/secrets/git_key /root/work/builds_key")
    command = f"git -c core.sshCommand='ssh -i /root/work/builds_key -o IdentitiesOnly=yes' push ssh://git@{NAME}/fraud.git HEAD:refs/heads/evil"
    answer = developer.run(f"unset GIT_SSH_COMMAND; {command}", code=128, where="/root/work/fraud")
    assert "that this key may push to" in answer
    shell(host, "rm /root/work/builds_key")


def test_secrets_are_where_they_are_wanted_and_in_no_log(host, server, developer, state):
    show = PIPELINE.replace("echo promoted", 'echo "it is $PROMOTE_TOKEN and $TOKEN"; env').replace(
        "run: test", 'run: echo "all have $TOKEN, and not ${PROMOTE_TOKEN:-that}"; test'
    )
    main = server.built("fraud", developer.commit("fraud", pipeline=show))
    other = server.built("fraud", developer.commit("fraud", branch="curious", pipeline=show))
    assert main["results"] == other["results"] == SUCCESS
    assert "it is <project_fraud_variable_PROMOTE_TOKEN> and <project_fraud_variable_TOKEN>" in server.log(
        main, "promote"
    )
    assert "all have <project_fraud_variable_TOKEN>, and not that" in server.log(other, "evaluate")
    told = [
        server.ask(f"/api/v2/{path}")[2]
        for path in ("builders", "workers", "schedulers", "changes", "buildsets", "sourcestamps")
    ]
    for build in (main, other):
        told += [json.dumps(server.get(f"builds/{build['buildid']}?property=*")), json.dumps(server.steps(build))]
        told += [server.log(build, step["name"]) for step in server.steps(build)]
    told += [
        server.ask("/config")[2],
        shell(host, "journalctl --no-pager -o cat"),
        shell(host, "cat /var/log/nginx/*.log"),
    ]
    told += [
        shell(host, "cat /etc/systemd/system/*.service /etc/buildbot/site.json; systemctl show buildbot ci-worker-a")
    ]
    # Command lines of all processes.
    told += [shell(host, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", code=None)]
    dump = "runuser -u postgres -- pg_dump --inserts --exclude-table-data=logchunks buildbot"
    told += [shell(host, f"cd / && {dump}")]
    for secret in secrets_of(state):
        assert not [text[max(0, text.find(secret) - 200) :][:300] for text in told if secret in text]


def test_fifty_pushes_are_built_each_in_their_order(server, developer):
    quick = "steps:\n  - {name: train, run: sleep 0.2}\n"
    branches = {name: [] for name in ("one", "two")}
    for name in branches:
        developer.commit("fraud", branch=name, pipeline=quick)
    commands = []
    for name in branches:
        script = f"git clone -q -b {name} ssh://git@{NAME}/fraud.git many-{name}; cd many-{name}; git config user.name D; git config user.email d@e"
        script += "; for i in $(seq 25); do git commit -q --allow-empty -m $i; git push -q origin HEAD; done"
        commands.append(f"({script}) & ")
    developer.run("rm -rf many-*; " + "".join(commands) + "wait")
    for name in branches:
        log = developer.run("git log -25 --reverse --format=%H", where=f"/root/work/many-{name}")
        branches[name] = log.splitlines()

    def done():
        found = {
            name: [one for one in server.builds("fraud", branch=name) if one["properties"]["revision"][0] in revisions]
            for name, revisions in branches.items()
        }
        return found if all(len(one) >= 25 and all(b["complete"] for b in one) for one in found.values()) else None

    found = server.wait(done, 400)
    for name, revisions in branches.items():
        builds = sorted(found[name], key=lambda build: build["started_at"])
        assert [build["properties"]["revision"][0] for build in builds] == revisions
        # One after the other, not beside each other.
        assert all(first["complete_at"] <= second["started_at"] for first, second in zip(builds, builds[1:]))
    # The two branches were built at the same time, by both workers.
    assert len({build["workerid"] for one in found.values() for build in one}) == 2


def running(server, project, revision, step="train"):
    """The build of a commit, once it is in that step."""

    def look():
        for build in server.builds(project, revision=revision):
            if not build["complete"] and any(one["name"] == step and one["started_at"] for one in server.steps(build)):
                return build
        return None

    return server.wait(look)


LONG = "steps:\n  - name: train\n    run: |\n      test -e /tmp/go && exit 0\n      sleep {seconds}\n"


def test_a_build_whose_worker_dies_is_built_by_another_before_its_successor(host, server, developer):
    first = developer.commit("fraud", branch="unlucky", pipeline=LONG.format(seconds=60))
    build = running(server, "fraud", first)
    second = developer.commit("fraud", branch="unlucky", pipeline=LONG.format(seconds=1))
    name = build["properties"]["workername"][0]
    shell(host, f"systemctl kill --signal=KILL ci-worker-{name} && systemctl stop ci-worker-{name}", code=None)
    try:
        again = server.wait(
            lambda: next(
                (one for one in server.builds("fraud", revision=first) if one["buildid"] != build["buildid"]), None
            )
        )
        assert again["properties"]["workername"][0] != name
        assert server.get(f"builds/{build['buildid']}")["builds"][0]["results"] == RETRY
        # The other one is busy with it; the successor waits.
        assert not server.builds("fraud", revision=second)
        server.control(f"builds/{again['buildid']}", "stop", reason="the test has seen enough")
        assert server.built("fraud", second)["results"] == SUCCESS
    finally:
        shell(host, f"systemctl reset-failed ci-worker-{name}; systemctl start ci-worker-{name}")
    server.wait(lambda: server.connected(name))


def test_the_queue_and_pushes_survive_the_death_of_the_server(host, server, developer):
    first = developer.commit("fraud", branch="patient", pipeline=LONG.format(seconds=30))
    running(server, "fraud", first)
    waiting = developer.commit("fraud", branch="patient", pipeline=LONG.format(seconds=1))
    server.wait(
        lambda: len([c for c in server.get("changes?order=-changeid&limit=5")["changes"] if c["revision"] == waiting])
    )
    # Dead, and not back for a while: somebody pushes meanwhile.
    shell(host, "systemctl kill --signal=KILL buildbot; systemctl stop buildbot", code=None)
    meanwhile = developer.commit("fraud", branch="meanwhile", pipeline=LONG.format(seconds=1))
    assert shell(host, "ls /srv/ci-git/.spool")
    shell(host, "systemctl reset-failed buildbot; systemctl start buildbot")
    for revision in (first, waiting, meanwhile):
        assert server.built("fraud", revision, 180)["results"] == SUCCESS, revision
    order = [
        one["properties"]["revision"][0]
        for one in server.builds("fraud", branch="patient")
        if one["results"] == SUCCESS
    ]
    assert order == [first, waiting]
    assert shell(host, "ls -A /srv/ci-git/.spool") == ""


def test_the_newest_commit_only_where_that_is_wanted(server, developer):
    developer.commit("scoring", pipeline=LONG.format(seconds=3))
    revisions = [developer.commit("scoring", pipeline=f"{LONG.format(seconds=3)}# {i}\n") for i in range(5)]
    assert server.built("scoring", revisions[-1])["results"] == SUCCESS
    assert len(server.builds("scoring")) < 6


def test_a_worker_with_a_wrong_password_is_refused(host, server):
    shell(
        host,
        "systemctl stop ci-worker-a; cp /etc/ci-worker/a /etc/ci-worker/a.right; echo another one > /etc/ci-worker/a",
    )
    try:
        shell(host, "systemctl start ci-worker-a")
        server.wait(lambda: "unauthorized login" in said(host, "ci-worker-a"))
        assert not server.connected("a")
    finally:
        shell(host, "mv /etc/ci-worker/a.right /etc/ci-worker/a; systemctl restart ci-worker-a")
    server.wait(lambda: server.connected("a"))


def test_a_worker_does_not_talk_to_a_server_of_another_ca(host, server):
    """Its password would be the price."""
    drop = "/run/systemd/system/ci-worker-a.service.d"
    shell(
        host,
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out /etc/ci-worker/other.pem -days 1 -subj /CN=other 2> /dev/null;"
        f"mkdir -p {drop}; printf '[Service]\\nEnvironment=SSL_CERT_FILE=/etc/ci-worker/other.pem\\n' > {drop}/other.conf;"
        "systemctl daemon-reload; systemctl restart ci-worker-a",
    )
    try:
        # It goes before it has said who it is, again and again. Its log does not tell why.
        server.wait(lambda: said(host, "ci-worker-a").count("Scheduling retry") > 2)
        assert "unauthorized login" not in said(host, "ci-worker-a")
        assert not server.connected("a")
    finally:
        shell(host, f"rm -r {drop} /etc/ci-worker/other.pem; systemctl daemon-reload; systemctl restart ci-worker-a")
    server.wait(lambda: server.connected("a"))


def test_another_configuration_is_read_while_builds_go_on(host, server, developer, role):
    revision = developer.commit("fraud", branch="long", pipeline=LONG.format(seconds=100))
    build = running(server, "fraud", revision)
    before = invocation(host, "buildbot")
    try:
        role.good(ci_server_users=[{"name": "alice"}, {"name": "bob", "admin": True}])
        assert invocation(host, "buildbot") == before
        bob = ("bob", server.password("user_bob"))
        # What is new is in force, and what was under way still is.
        asked = {"path": "forceschedulers/force-scoring", "method": "force", "branch": "main", "reason": "a test"}
        assert server.control(login=bob, **asked)[0] == 200
        assert not server.get(f"builds/{build['buildid']}")["builds"][0]["complete"]
        assert server.built("fraud", revision, 120)["buildid"] == build["buildid"]
    finally:
        role.good()
    assert server.ask("/", login=bob)[0] == 401
    assert role.changed() == 0

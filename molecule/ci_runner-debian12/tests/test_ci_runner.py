"""Runners on a host, against contract servers, with stand-ins for the runners' programs: neither is a forge or a runner.

What is real: the files, users and units, systemd, and what the role does around a job that runs.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "molecule/shared"))

from again import Again  # noqa: E402

WORK = "/var/lib/mlops-ci"
CANARIES = ("canary-token", "glrt-canary", "canary-registration", "canary-of-the-runner", "ACANARY")
GOOD = "00000000:10:00.0, 0, No, No\n00000000:11:00.0, 0, No, No\n"


def shell(host, command):
    done = host.run(command)
    assert done.rc == 0, done.stdout + done.stderr
    return done.stdout


def soon(question, seconds=30):
    """The first answer that is not empty."""
    until = time.time() + seconds
    while time.time() < until:
        answer = question()
        if answer:
            return answer
        time.sleep(0.5)
    pytest.fail("it did not come to it in time")


def unit(slot):
    return f"mlops-ci-runner-{slot}.service"


def show(host, name, key):
    return shell(host, f"systemctl show --property={key} --value {name}").strip()


@pytest.fixture(scope="module")
def again(host):
    return Again(host, ROOT / "molecule/ci_runner-debian12/converge.yml")


@pytest.fixture(scope="module")
def ports(host):
    return host.ansible.get_variables()["test_ports"]


@pytest.fixture(scope="module")
def control(ports):
    """What a test tells a contract server, and what that tells of the calls."""

    def ask(provider, path, data=None):
        text = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[provider]}{path}", text, timeout=10) as answer:
            return json.loads(answer.read())

    return ask


def called(host, slot):
    return [json.loads(line) for line in shell(host, f"cat {WORK}/{slot}/called.jsonl").splitlines()]


def test_a_runner_for_each_gpu_sees_its_own_only(host):
    for slot, uuid in (("gpu0", "GPU-aaaa"), ("gpu1", "GPU-bbbb")):
        assert show(host, unit(slot), "ActiveState") == "active"
        assert called(host, slot)[-1]["cuda"] == uuid
        assert show(host, unit(slot), "User") == f"ci-{slot}"
        assert show(host, unit(slot), "Slice") == "mlops-ci.slice"
        assert show(host, unit(slot), "DevicePolicy") == "closed"
    allowed = show(host, unit("gpu0"), "DeviceAllow")
    assert "/dev/nvidia0 rw" in allowed
    assert "/dev/nvidia1" not in allowed


def test_tokens_are_for_the_slot_alone(host):
    found = shell(
        host,
        f"grep -rlE '{'|'.join(CANARIES)}' /etc /var/lib/mlops-ci /run/mlops-onprem /usr/local/lib || true",
    ).split()
    assert sorted(found) == [f"{WORK}/gpu0/config.toml", f"{WORK}/gpu1/config.toml"]
    for path in found:
        assert shell(host, f"stat --format='%a %U' {path}").split() == ["600", f"ci-{path.split('/')[-2]}"]
    assert host.run(f"runuser -u ci-gpu1 -- cat {WORK}/gpu0/config.toml").rc != 0
    secrets = (
        Path(__file__).resolve().parents[2]
        / f"{host.backend.get_hostname().replace('ci-runner', 'ci_runner')}/.mlops/secrets"
    )
    for path in secrets.glob("ci_runner_*"):
        assert path.stat().st_mode & 0o077 == 0
    for text in (shell(host, "journalctl --no-pager"), shell(host, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")):
        assert not re.search("glrt-canary|ACANARY", text)


def test_a_second_run_asks_the_host_twice_whatever_the_number_of_slots(again):
    slots = [{"name": f"cpu{number}", "gpus": []} for number in range(8)]
    again.good(ci_runner_slots=slots[:1])
    one = again.executions(ci_runner_slots=slots[:1])
    again.good(ci_runner_slots=slots)
    eight = again.executions(ci_runner_slots=slots)
    assert one == eight
    # Facts, the look, the host; and on the controller the secrets and the API.
    assert eight <= 6
    again.good()
    assert again.changed() == 0


def test_a_rotated_token_survives(host, again):
    path = f"{WORK}/gpu0/config.toml"
    before = shell(host, f"cat {path}")
    shell(host, f"sed -i 's/glrt-canary-[0-9]*/&-rotated/' {path}")
    assert again.changed() == 0
    again.good(ci_runner_environment={"A": "b"})
    after = shell(host, f"cat {path}")
    assert "-rotated" in after
    assert "A=b" in after
    shell(host, f"sed -i 's/-rotated//' {path}")
    again.good()
    assert shell(host, f"cat {path}") == before


def test_a_runner_that_was_deleted_comes_back_only_when_asked(host, again, control):
    control("gitlab", "/_forget", {"name": "node1-gpu0"})
    said = again.refused()
    assert "somebody deleted it there" in said
    assert "ci_runner_recreate: true" in said
    again.good(ci_runner_recreate=True)
    assert again.changed() == 0


def test_an_unreachable_or_closed_forge_changes_nothing_on_the_host(host, again):
    before = shell(
        host,
        "find /etc /var/lib/mlops-ci /opt/mlops-ci -newermt '5 seconds ago' -type f | sort; cat /etc/mlops-onprem/ci_runner/slots.json",
    )
    slots = [{"name": "other", "gpus": []}]
    assert "from the controller" in again.refused(
        ci_runner_slots=slots, ci_runner_url="http://127.0.0.1:9", ci_runner_api_patience=0
    )
    said = again.refused(ci_runner_slots=slots, ci_runner_api_token="wrong-canary")
    assert "The token expired, was revoked" in said
    assert "wrong-canary" not in said
    assert shell(host, "cat /etc/mlops-onprem/ci_runner/slots.json") in before
    assert not host.file(f"{WORK}/other").exists


@pytest.mark.one_release
@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"ci_runner_slots": [{"name": "a", "gpus": [0]}, {"name": "b", "gpus": [0]}]}, "the slot 'a' has it, too"),
        ({"ci_runner_slots": [{"name": "a", "gpus": [9]}]}, "there is no GPU '9' on this host"),
        ({"ci_runner_labels": ["a,b"]}, "the label 'a,b' cannot be used with GitLab"),
        ({"ci_runner_api_token": "GR1348941x"}, "a registration token, which GitLab removes in 20.0"),
        ({"ci_runner_sha256": "0" * 63}, "ci_runner_sha256 must be the SHA-256"),
        ({"ci_runner_source": "index"}, "with gitlab it is packages or download or file"),
    ],
)
def test_what_cannot_work_is_refused(again, variables, why):
    said = again.refused(**variables)
    assert why in said
    assert "Nothing was changed" in said


def test_an_unhealthy_gpu_takes_no_jobs_until_it_is_well(host):
    shell(host, "printf '00000000:10:00.0, 3, No, No\\n00000000:11:00.0, 0, No, No\\n' > /opt/nvidia-smi")
    try:
        shell(host, "systemctl start mlops-ci-health.service")
        soon(lambda: show(host, unit("gpu0"), "SubState") == "auto-restart")
        assert "uncorrected memory errors (3)" in shell(host, f"journalctl --no-pager --unit={unit('gpu0')}")
        assert show(host, unit("gpu1"), "ActiveState") == "active"
    finally:
        shell(host, f"printf '{GOOD}' > /opt/nvidia-smi".replace("\n", "\\n"))
    shell(host, f"systemctl restart {unit('gpu0')}")
    soon(lambda: show(host, unit("gpu0"), "ActiveState") == "active")


def test_old_work_is_removed_by_its_age(host):
    shell(
        host, f"mkdir -p {WORK}/gpu0/builds/old {WORK}/gpu0/builds/new && touch -d '20 days ago' {WORK}/gpu0/builds/old"
    )
    shell(host, "systemctl start mlops-ci-clean.service")
    assert shell(host, f"ls {WORK}/gpu0/builds").split() == ["new"]


def test_a_slot_that_goes_is_gone_on_both_sides(host, again, control):
    again.good(ci_runner_slots=[{"name": "gpu0", "gpus": [0]}, {"name": "brief", "gpus": []}])
    assert show(host, unit("brief"), "ActiveState") == "active"
    calls = len(control("gitlab", "/_calls")["calls"])
    again.good(ci_runner_slots=[{"name": "gpu0", "gpus": [0]}])
    assert any(call.startswith("DELETE ") for call in control("gitlab", "/_calls")["calls"][calls:])
    assert not host.file(f"{WORK}/brief").exists
    assert not host.user("ci-brief").exists
    again.good()


@pytest.mark.parametrize("provider", ["forgejo", "gitea", "github"])
def test_the_other_forges(host, again, control, provider):
    """GitLab's runners go, others come; a change lets a running job end; and all of it goes."""
    again.good(ci_runner_state="absent")
    assert again.changed(ci_runner_state="absent") == 0
    assert not host.file(WORK).exists
    again.good("--check", ci_runner_provider=provider)
    again.good(ci_runner_provider=provider)
    assert again.changed(ci_runner_provider=provider) == 0
    calls = called(host, "gpu0")
    assert calls[-1]["cuda"] == "GPU-aaaa"
    text = json.dumps(calls)
    assert not any(canary in text for canary in CANARIES)
    first = show(host, unit("gpu0"), "MainPID")
    shell(host, f"touch {WORK}/gpu0/job && chown ci-gpu0 {WORK}/gpu0/job")
    again.good(ci_runner_provider=provider, ci_runner_environment={"A": "b"}, ci_runner_online_timeout=5)
    time.sleep(2)
    assert show(host, unit("gpu0"), "MainPID") == first, "the job runs on"
    shell(host, f"rm {WORK}/gpu0/job")
    soon(lambda: show(host, unit("gpu0"), "MainPID") not in (first, "0"), 90)
    assert control(provider, "/_calls")["violations"] == []
    again.good(ci_runner_provider=provider, ci_runner_state="absent")
    assert not host.file(WORK).exists
    assert not host.run("ls /etc/systemd/system | grep mlops-ci").stdout
    again.good()
    assert control("gitlab", "/_calls")["violations"] == []

"""What is wanted on a host, and how it is brought there: once, whole, and around running jobs."""

from __future__ import annotations

import copy
import grp
import json
import os
import pwd
import re
import stat
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.filter.ci_runner_host import FilterModule, runner_host
from ansible_collections.mlops.onprem.plugins.module_utils.ci import host_apply, host_look, host_wanted, units
from ansible_collections.mlops.onprem.plugins.module_utils.ci.host_apply import Failed, Host
from ansible_collections.mlops.onprem.plugins.module_utils.ci.plan import plan
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

from .machines import amd, nvidia, options

CANARY = "glrt-canary-of-the-token"
PROVIDERS = ("gitlab", "github", "forgejo", "gitea", "buildbot")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A host's folders below a temporary one."""
    for owner, name, path in (
        (units, "UNITS", "units"),
        (units, "RECORDS", "records"),
        (host_wanted, "CONFIG", "config"),
        (host_wanted, "SCRIPTS", "scripts"),
    ):
        monkeypatch.setattr(owner, name, str(tmp_path / path))
    for name in ("units", "records", "program/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "program/bin/runsvc.sh").write_text("#!/bin/sh\n")
    return tmp_path


def asked(place, provider="gitlab", **more):
    return {
        "provider": provider,
        "version": "1.0",
        "app_dir": str(place / "app"),
        "url": "https://git.example.com",
        "scope": "org:acme",
        "executor": "shell" if provider in ("github", "buildbot") else "docker",
        "work_dir": str(place / "work"),
        "image": "debian:12",
        "pull_policy": "always",
        "slice": "mlops-ci.slice",
        "stop_timeout": 3600,
        "job_timeout": "3h",
        "container_host": "unix:///run/docker.sock",
        "container_command": "docker",
        "min_free_gb": 10,
        "clean_days": 7,
        "health_script": f"{host_wanted.SCRIPTS}/ci-health.py",
        "master": "ci.example.com:9989",
        "master_tls": True,
        "program": str(place / "program") if provider == "github" else "/opt/runner",
        "installed": "2.336.0-0123456789ab",
        "trust_store": "/etc/ssl/certs/ca-certificates.crt",
        "groups": ["docker"],
        "environment": {},
        **more,
    }


def wanted(place, provider="gitlab", count=1, **more):
    slots = plan(options(labels=["gpu"]), [nvidia(number) for number in range(count)])["slots"]
    secrets = {slot["name"]: {"id": "7", "uuid": "u", "token": CANARY} for slot in slots}
    made = runner_host(slots, asked(place, provider, **more), secrets, {"ci-health.py": "#!/bin/sh\n"})
    # The users are not on this computer: what is done for them is tested apart.
    found = copy.deepcopy(made)
    for entry in found["files"] + found["directories"] + found["trees"]:
        for key in ("owner", "group"):
            entry.pop(key, None)
    return {**found, "users": []}


class Systemd:
    """systemctl, as far as it is asked: units are active once they were started, and have read their files then."""

    def __init__(self, place):
        self.place, self.calls, self.states = place, [], {}

    def __call__(self, argv):
        self.calls.append(argv)
        if argv[:2] == ["systemctl", "show"]:
            names = argv[argv.index("--") + 1 :]
            return 0, "\n\n".join(
                "\n".join(
                    f"{key}={value}"
                    for key, value in {"Id": name, **self.states.get(name, {"ActiveState": "inactive"})}.items()
                )
                for name in names
            )
        if argv[1] in ("start", "restart"):
            for name in argv[3:]:
                self.states.setdefault(name, {}).update(ActiveState="active")
                self.record(name)
        if argv[1] == "enable":
            for name in argv[3:]:
                self.states.setdefault(name, {"ActiveState": "inactive"}).update(UnitFileState="enabled")
        return 0, ""

    def record(self, name):
        """What ExecStartPre does."""
        path = self.place / "units" / name
        if path.exists() and path.suffix == ".service":
            line = re.search(r"sha256sum (.*) > (\S+)'", path.read_text())
            if line:
                text = "".join(f"{host_apply._sum(one)}  {one}\n" for one in line[1].split())
                Path(line[2]).write_text(text)

    def asked_for(self, verb):
        return [argv for argv in self.calls if argv[:2] == ["systemctl", verb]]


def bring(place, what, systemd, check=False, jobs=False, leftover=()):
    return Host(systemd, check, lambda: jobs).apply(what, list(leftover), str(place / "work"))


@pytest.fixture
def systemd(place):
    return Systemd(place)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_run_does_it_and_a_second_one_does_nothing(place, systemd, provider, monkeypatch):
    monkeypatch.setattr(host_apply, "_as_user", lambda *_what: (0, ""))
    what = wanted(place, provider, count=2)
    for tree in what["trees"]:
        tree["owner"] = tree["group"] = None
    outcome = bring(place, what, systemd)
    assert outcome.done
    assert not outcome.deferred
    systemd.calls.clear()
    again = bring(place, what, systemd)
    assert (again.done, again.deferred) == ([], [])
    assert {argv[1] for argv in systemd.calls} == {"show"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_more_slots_cost_no_more_questions(place, systemd, provider):
    def questions(count):
        what = wanted(place, provider, count=count)
        what["trees"] = []
        bring(place, what, systemd)
        systemd.calls.clear()
        bring(place, what, systemd)
        return len(systemd.calls)

    assert questions(8) == questions(1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_check_mode_changes_nothing(place, systemd, provider):
    outcome = bring(place, wanted(place, provider), systemd, check=True)
    assert any(text.startswith("write ") for text in outcome.done)
    assert any(text.startswith("start mlops-ci-runner-gpu0") for text in outcome.done)
    assert not (place / "work").exists()
    assert not list((place / "units").iterdir())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_token_is_in_a_unit_a_diff_or_a_file_for_others(place, systemd, provider, monkeypatch):
    monkeypatch.setattr(host_apply, "_as_user", lambda *_what: (0, ""))
    what = wanted(place, provider)
    for tree in what["trees"]:
        tree["owner"] = tree["group"] = None
    outcome = bring(place, what, systemd)
    assert CANARY not in json.dumps([outcome.done, outcome.diffs, systemd.calls])
    for path in place.rglob("*"):
        if path.is_file() and CANARY in path.read_text():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path


@pytest.mark.parametrize("provider", ["forgejo", "gitea", "buildbot"])
def test_a_changed_file_has_the_runner_restart_after_its_job(place, systemd, provider):
    bring(place, wanted(place, provider), systemd)
    systemd.calls.clear()
    change = {"url": "https://other.example.com", "image": "debian:13", "master": "other:9989"}
    outcome = bring(place, wanted(place, provider, **change), systemd)
    assert "restart mlops-ci-runner-gpu0.service after its job" in outcome.done
    assert systemd.asked_for("restart") == [["systemctl", "restart", "--no-block", "mlops-ci-runner-gpu0.service"]]
    assert not systemd.asked_for("daemon-reload")


def test_gitlabs_runner_reads_its_file_by_itself(place, systemd):
    bring(place, wanted(place), systemd)
    systemd.calls.clear()
    outcome = bring(place, wanted(place, image="debian:13"), systemd)
    assert outcome.done == [f"write {place}/work/gpu0/config.toml"]
    assert not systemd.asked_for("restart")


def test_a_run_that_was_killed_before_the_restart_is_completed(place, systemd):
    bring(place, wanted(place, "forgejo"), systemd)
    (place / "work/gpu0/config.yml").write_text("another\n")
    # The next run writes it back, and the running service has read what is there now; so it is with what it has not read.
    path = place / "work/gpu0/config.yml"
    what = wanted(place, "forgejo", image="debian:13")
    path.write_text(next(one["content"] for one in what["files"] if one["path"] == str(path)))
    assert "restart mlops-ci-runner-gpu0.service after its job" in bring(place, what, systemd).done


def test_no_daemon_reload_while_a_job_has_a_gpu(place, systemd):
    outcome = bring(place, wanted(place), systemd, jobs=True)
    assert not systemd.asked_for("daemon-reload")
    assert "their containers would lose them" in outcome.deferred[0]
    systemd.states["mlops-ci-runner-gpu0.service"]["NeedDaemonReload"] = "yes"
    outcome = bring(place, wanted(place), systemd, jobs=False)
    assert outcome.done == ["let systemd read its units"]


def test_what_systemd_has_not_read_is_not_taken_for_read(place, systemd):
    bring(place, wanted(place), systemd)
    systemd.states["mlops-ci-runner-gpu0.service"]["NeedDaemonReload"] = "yes"
    outcome = bring(place, wanted(place, version="2.0"), systemd, jobs=True)
    assert not systemd.asked_for("restart")
    assert outcome.deferred[1:] == ["mlops-ci-runner-gpu0.service waits for that, too"]
    systemd.states["mlops-ci-runner-gpu0.service"]["NeedDaemonReload"] = "no"
    assert (
        "restart mlops-ci-runner-gpu0.service after its job" in bring(place, wanted(place, version="2.0"), systemd).done
    )


def test_a_runner_that_ends_after_its_job_is_left_to_it(place, systemd):
    bring(place, wanted(place, "forgejo"), systemd)
    systemd.states["mlops-ci-runner-gpu0.service"]["ActiveState"] = "deactivating"
    systemd.calls.clear()
    outcome = bring(place, wanted(place, "forgejo", image="debian:13"), systemd)
    assert outcome.deferred == ["mlops-ci-runner-gpu0.service ends after its job"]
    assert {argv[1] for argv in systemd.calls} == {"show"}


def test_a_job_of_github_is_not_ended_by_a_restart(place, systemd, monkeypatch):
    what = wanted(place, "github")
    what["trees"] = []
    bring(place, what, systemd)
    monkeypatch.setattr(Host, "busy", lambda *_what: True)
    what = wanted(place, "github", path="/usr/bin")
    what["trees"] = []
    outcome = bring(place, what, systemd)
    assert not systemd.asked_for("restart")
    assert "has a job, which a restart would end" in outcome.deferred[0]


def test_a_config_toml_that_cannot_be_read_stays(place, systemd):
    bring(place, wanted(place), systemd)
    path = place / "work/gpu0/config.toml"
    path.write_text("concurrent = \n")
    with pytest.raises(Failed, match=r"cannot be read \(line 1: there is no value\), so that nothing was written"):
        bring(place, wanted(place), systemd)
    assert path.read_text() == "concurrent = \n"


def test_a_copied_program_leaves_the_folders_rights_alone(place):
    me = pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(os.getgid()).gr_name
    (place / "program").chmod(0o755)
    (place / "program/archive").write_text("what it was unpacked from")
    home = place / "work/gpu0"
    home.mkdir(parents=True, mode=0o700)
    one = {"source": str(place / "program"), "path": str(home), "version": "1", "owner": me, "group": group}
    host = Host(lambda _argv: (0, ""), False, lambda: False)
    host.tree(one)
    host.tree(one)
    assert host.outcome.done == [f"copy the program 1 to {home}"]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home / "runsvc.sh").exists()
    assert not (home / "archive").exists()
    one["version"] = "2"
    one["source"] = str(place / "surely-not-there")
    with pytest.raises(Failed, match="could not be copied"):
        host.tree(one)
    assert (home / ".mlops-version").read_text() == "1\n"


def test_links_are_not_followed(place, systemd):
    bring(place, wanted(place), systemd)
    target = place / "target"
    target.write_text("precious")
    path = place / "work/gpu0/config.toml"
    path.unlink()
    path.symlink_to(target)
    bring(place, wanted(place), systemd)
    assert target.read_text() == "precious"
    assert not path.is_symlink()
    builds = place / "work/gpu0/builds"
    builds.rmdir()
    builds.symlink_to(place)
    with pytest.raises(Failed, match="is no folder"):
        bring(place, wanted(place), systemd)


def test_a_slot_goes_with_all_that_it_had(place, systemd):
    bring(place, wanted(place, count=2), systemd)
    outcome = bring(place, wanted(place, count=1), systemd, leftover=["gpu1"])
    assert "remove the slot gpu1" in outcome.done
    assert ["systemctl", "disable", "--now", "--no-reload", "mlops-ci-runner-gpu1.service"] in systemd.calls
    assert ["userdel", "ci-gpu1"] in systemd.calls
    assert not (place / "work/gpu1").exists()
    assert (place / "work/gpu0").exists()


def test_all_of_it_goes(place, systemd):
    bring(place, wanted(place), systemd)
    what = runner_host([], asked(place), {}, {"ci-health.py": ""})
    outcome = bring(place, what, systemd, leftover=["gpu0"])
    assert outcome.done[0] == "remove the slot gpu0"
    assert not any(
        (place / name).exists() and list((place / name).iterdir()) for name in ("units", "work", "config", "scripts")
    )
    assert systemd.asked_for("disable")[-1][-2:] == list(host_wanted.TIMERS)
    assert not bring(place, what, systemd).done


def test_another_version_is_another_unit(place, systemd):
    bring(place, wanted(place), systemd)
    outcome = bring(place, wanted(place, version="2.0"), systemd)
    assert "restart mlops-ci-runner-gpu0.service after its job" in outcome.done


def test_users_are_made_and_let_into_groups(place, systemd, monkeypatch):
    monkeypatch.setattr(host_apply, "_is_member", lambda _user, _group: False)
    host = Host(systemd, False, lambda: False)
    host.user({"name": "ci-surely-not-here", "home": "/x", "groups": ["docker"]})
    assert systemd.calls[-1][-3:] == ["--groups", "docker", "ci-surely-not-here"]
    assert "--system" in systemd.calls[-1]
    host.user({"name": "root", "home": "/x", "groups": ["docker"]})
    assert systemd.calls[-1] == ["usermod", "--append", "--groups", "docker", "root"]
    monkeypatch.undo()
    with pytest.raises(Failed, match="is the container engine installed"):
        host.user({"name": "root", "home": "/x", "groups": ["surely-not-here"]})


def test_a_registration_has_its_token_in_the_environment_only(place, tmp_path):
    program = tmp_path / "register"
    program.write_text('#!/bin/sh\nprintf "%s|%s" "$*" "$TOKEN" > seen\n')
    program.chmod(0o755)
    (tmp_path / ".runner").write_text("old")
    one = {
        "slot": "gpu0",
        "user": "root",
        "home": str(tmp_path),
        "argv": [str(program), "a"],
        "environment": {"TOKEN": CANARY},
        "left": [".runner"],
    }
    Host(lambda _argv: (0, ""), False, lambda: False).register(one)
    assert (tmp_path / "seen").read_text() == f"a|{CANARY}"
    assert not (tmp_path / ".runner").exists()
    program.write_text("#!/bin/sh\necho it is over; exit 3\n")
    with pytest.raises(Failed, match=r"gpu0 could not be registered \(3\): it is over"):
        Host(lambda _argv: (0, ""), False, lambda: False).register(one)


@pytest.mark.parametrize("provider", ["github", "gitea"])
def test_a_host_registers_itself_where_there_is_a_token_of_an_hour(place, provider):
    slots = plan(options(), [nvidia(0)])["slots"]
    made = runner_host(slots, asked(place, provider), {"gpu0": {"registration": CANARY}}, {})
    one = made["registrations"][0]
    assert CANARY not in " ".join(one["argv"])
    assert CANARY in one["environment"].values()
    assert not runner_host(slots, asked(place, provider), {}, {})["registrations"]


# Units.


def text_of(place, provider, **more):
    what = wanted(place, provider, **more)
    return next(one["content"] for one in what["files"] if one["path"].endswith("/mlops-ci-runner-gpu0.service"))


def test_a_shell_slot_opens_its_own_gpu_only(place):
    text = text_of(place, "buildbot")
    assert "DevicePolicy=closed\n" in text
    assert re.findall(r"DeviceAllow=(/dev/nvidia[0-9]+) rw", text) == ["/dev/nvidia0"]
    assert 'Environment="CUDA_VISIBLE_DEVICES=GPU-00000000-' in text
    container = text_of(place, "gitlab")
    assert "DevicePolicy=closed\n" in container
    assert "DeviceAllow" not in container


@pytest.mark.parametrize(
    ("provider", "signal"),
    [
        ("gitlab", "SIGQUIT"),
        ("github", "SIGTERM"),
        ("forgejo", "SIGTERM"),
        ("gitea", "SIGTERM"),
        ("buildbot", "SIGHUP"),
    ],
)
def test_a_runner_ends_after_its_job(place, provider, signal):
    text = text_of(place, provider)
    assert f"KillSignal={signal}\n" in text
    assert "TimeoutStopSec=3660\n" in text
    assert "User=ci-gpu0\n" in text
    assert "Slice=mlops-ci.slice\n" in text
    assert "NoNewPrivileges=yes\n" in text


def test_limits_of_slots_and_of_all_of_them(place):
    what = wanted(
        place, memory_max="64G", cpu_quota="400%", slot_memory_max="16G", environment={"A": 'quote " percent %'}
    )
    texts = {one["path"].rsplit("/", 1)[1]: one["content"] for one in what["files"]}
    assert "MemoryMax=64G\n" in texts["mlops-ci.slice"]
    assert "CPUQuota=400%\n" in texts["mlops-ci.slice"]
    assert "MemoryMax=16G\n" in texts["mlops-ci-runner-gpu0.service"]
    assert 'Environment="A=quote \\" percent %%"\n' in texts["mlops-ci-runner-gpu0.service"]
    assert "OnCalendar=daily" in texts["mlops-ci-clean.timer"]


def test_the_filter():
    assert FilterModule().filters() == {"ci_runner_host": runner_host}
    with pytest.raises(AnsibleFilterError, match="is missing"):
        runner_host([], {}, {}, {})
    with pytest.raises(AnsibleFilterError, match="is missing"):
        runner_host([{"name": "a"}], {}, {}, {})


# What is looked at.


def test_device_files_by_the_drivers_own_number(tmp_path):
    for address, minor in (("0000:10:00.0", 3), ("0000:11:00.0", 0)):
        folder = tmp_path / "proc/driver/nvidia/gpus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t NVIDIA H100\nDevice Minor: \t {minor}\n")
    folder = tmp_path / "sys/bus/pci/devices/0000:40:00.0/drm"
    for name in ("card1", "renderD128", "controlD64"):
        (folder / name).mkdir(parents=True)
    tree = Tree(str(tmp_path))
    assert host_look.nodes(tree, "nvidia", "0000:10:00.0") == ["/dev/nvidia3"]
    assert host_look.nodes(tree, "nvidia", "0000:99:00.0") == []
    assert sorted(host_look.nodes(tree, "amd", "0000:40:00.0")) == ["/dev/dri/card1", "/dev/dri/renderD128"]
    assert host_look.nodes(tree, "intel", "0000:40:00.0") == []
    assert amd(0)["nodes"]


def test_slots_and_registrations_without_tokens(tmp_path):
    for name in ("gpu0", "gpu1", "gpu2"):
        (tmp_path / f"mlops-ci-runner-{name}.service").write_text("")
    (tmp_path / "other.service").write_text("")
    (tmp_path / "gpu0").mkdir()
    (tmp_path / "gpu0/.runner").write_text(
        json.dumps({"id": 3, "uuid": "u", "name": "n", "token": CANARY, "address": "a"})
    )
    (tmp_path / "gpu1").mkdir()
    (tmp_path / "gpu1/.runner").write_text("\ufeff" + json.dumps({"agentId": 5, "agentName": "m", "gitHubUrl": "h"}))
    found = host_look.slots(str(tmp_path), str(tmp_path))
    assert found["gpu0"] == {"id": "3", "uuid": "u", "name": "n", "address": "a"}
    assert found["gpu1"] == {"id": "5", "name": "m", "url": "h"}
    assert found["gpu2"] == {}
    assert list(found) == ["gpu0", "gpu1", "gpu2"]
    (tmp_path / "1.0").mkdir()
    (tmp_path / "current").symlink_to("1.0")
    assert host_look.installed(str(tmp_path)) == "1.0"
    assert host_look.installed("/surely/not/here") == ""

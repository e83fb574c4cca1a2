"""What goes with the driver: daemons, container runtimes, MIG. The daemons, dockerd, mig-parted and the GPUs are stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "molecule/shared/gpu_vendor"), str(ROOT / "tests/lab")]

from counting import executions  # noqa: E402
from scenario import Scenario  # noqa: E402

BUS = "/sys/bus/pci/devices"
DAEMON_JSON = "/etc/docker/daemon.json"
DROP_IN = "/etc/systemd/system/nvidia-persistenced.service.d/mlops-onprem.conf"
STARTS = "/var/tmp/docker-starts"
MARK = "/var/lib/mlops-onprem/gpu/restart-docker"
# A process of the simulated machine.
PROGRAM = "/srv/gpu/host/proc/4242"
MIG_STATE = "/var/tmp/mig-state"
DOCKERD = """#!/bin/sh
case $1 in
--version) echo "Docker version 28.3.3, build stand-in" ;;
--validate) exec python3 -m json.tool "${2#--config-file=}" /dev/null ;;
*) echo start >> /var/tmp/docker-starts; exec sleep infinity ;;
esac
"""
DOCKER_UNIT = "[Service]\nExecStart=/usr/local/sbin/dockerd\n[Install]\nWantedBy=multi-user.target\n"
MIG_UNIT = "[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
# It keeps the layout that was applied last, and answers like the real one.
MIG_PARTED = """#!/usr/bin/python3
import json, sys
from pathlib import Path
state, words = Path("/var/tmp/mig-state"), sys.argv[1:]
file, layout = (words[words.index(name) + 1] for name in ("--config-file", "--selected-config"))
text = sys.stdin.read() if file == "-" else Path(file).read_text()
wanted = json.dumps(json.loads(text)["mig-configs"][layout])
if words[0] == "apply":
    state.write_text(wanted)
elif not state.exists() or state.read_text() != wanted:
    sys.exit("Assertion failure: selected configuration not currently applied")
"""


def put(host, path, text, mode="644"):
    host.check_output(f"mkdir -p {Path(path).parent}")
    host.check_output("python3 -c 'import sys; open(sys.argv[1], \"w\").write(sys.argv[2])' %s %s", path, text)
    host.check_output(f"chmod {mode} {path}")


class Node(Scenario):
    """A node with two H100 whose driver is loaded, and Docker."""

    def gpus(self) -> None:
        """Two GPUs, whose driver is loaded as it is installed."""
        installed = self.driver()
        self.machine(f"--loaded {installed.rpartition('-')[0]}" if installed else "")
        # The units ask the bus of the kernel, and this is the simulated one.
        self.host.run(f"umount {BUS}")
        self.host.check_output(f"mount --bind /srv/gpu/host{BUS} {BUS}")

    def counted(self) -> tuple[int, int]:
        """A run's changed tasks, and its module executions."""
        said = self.good(callback="ansible.posix.json")
        (stats,) = json.loads(said)["stats"].values()
        return stats["changed"], sum(executions(said).values())

    def property(self, unit: str, name: str) -> str:
        return self.host.check_output(f"systemctl show --value --property={name} {unit}")


@pytest.fixture
def node(host):
    node = Node(host)
    put(host, "/usr/local/sbin/dockerd", DOCKERD, "755")
    put(host, "/etc/systemd/system/docker.service", DOCKER_UNIT)
    put(host, "/etc/systemd/system/nvidia-mig-manager.service", MIG_UNIT)
    host.check_output("systemctl daemon-reload")
    host.check_output("systemctl start docker.service")
    if node.property("nvidia-persistenced.service", "ActiveState") != "active":
        put(host, DAEMON_JSON, '{"log-driver": "journald"}')
        if node.driver() is None:
            node.gpus()
            node.good()
        node.gpus()
        node.good()
    else:
        node.gpus()
    yield node
    host.run(f"umount {BUS}")
    host.check_output("rm -f /usr/local/sbin/dockerd /etc/systemd/system/docker.service")


def test_daemons_run_once_the_driver_is_loaded_and_a_later_run_changes_nothing(host, node):
    for unit in ("nvidia-persistenced.service", "nvidia-dcgm.service", "nvidia-cdi-refresh.path"):
        assert host.service(unit).is_running, unit
        assert host.service(unit).is_enabled, unit
    assert DROP_IN in node.property("nvidia-persistenced.service", "DropInPaths")
    changed, count = node.counted()
    assert changed == 0
    assert count <= 12


def test_docker_knows_the_runtime_and_keeps_what_it_had(host, node):
    assert json.loads(host.file(DAEMON_JSON).content_string) == {
        "log-driver": "journald",
        "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}},
        "features": {"cdi": True},
    }
    # Once by hand, and once to read its file.
    assert len(host.file(STARTS).content_string.splitlines()) >= 2
    assert not host.file(MARK).exists


def test_a_broken_file_of_docker_stops_before_the_driver(host, node):
    before = node.packages()
    good = host.file(DAEMON_JSON).content_string
    put(host, DAEMON_JSON, '{"log-driver": ')
    try:
        said = node.refused(gpu_driver_branch="595", gpu_driver_upgrade=True)
        assert f"{DAEMON_JSON} is not JSON" in said
        assert "Nothing was installed or removed" in said
        assert node.packages() == before
        assert host.file(DAEMON_JSON).content_string == '{"log-driver": '
    finally:
        put(host, DAEMON_JSON, good)


def test_a_host_without_the_gpu_skips_its_daemons(host, node):
    """An image has them enabled, wherever it boots."""
    host.check_output(f"umount {BUS}")
    host.check_output("systemctl restart nvidia-persistenced.service")
    assert node.property("nvidia-persistenced.service", "Result") == "exec-condition"
    assert not host.service("nvidia-persistenced.service").is_running
    assert "nvidia-persistenced" not in host.check_output("systemctl --failed --plain --no-legend")
    node.gpus()
    host.check_output("systemctl start nvidia-persistenced.service")
    assert host.service("nvidia-persistenced.service").is_running


@pytest.fixture
def layout(host):
    """mig-parted is there, and nothing is laid out."""
    deb = "/srv/gpu-vendor/mig-parted/v0.15.0/nvidia-mig-manager_0.15.0-1_amd64.deb"
    host.check_output(f"dpkg --install {deb}")
    put(host, "/usr/bin/nvidia-mig-parted", MIG_PARTED, "755")
    host.check_output(f"rm -f {MIG_STATE}")
    checksum = host.check_output(f"sha256sum {deb}").split()[0]
    return {"gpu_driver_mig": "all-1g.10gb", "gpu_driver_mig_parted_sha256": checksum}


def test_a_gpu_in_use_keeps_its_layout_and_systemd_its_units_until_the_program_ends(host, node, layout):
    put(host, DROP_IN, "[Service]\n")
    host.check_output("systemctl daemon-reload")
    put(host, f"{PROGRAM}/comm", "train")
    host.check_output(f"sh -c 'mkdir -p {PROGRAM}/fd && ln -s /dev/nvidia0 {PROGRAM}/fd/3'")
    said = node.refused(**layout)
    assert "the GPUs are in use by train" in said
    assert not host.file(MIG_STATE).exists
    # Containers would lose their GPUs if it read them.
    assert "ExecCondition" in host.file(DROP_IN).content_string
    assert node.property("nvidia-persistenced.service", "NeedDaemonReload") == "yes"
    host.check_output(f"rm -r {PROGRAM}")
    node.good("--check", **layout)
    assert not host.file(MIG_STATE).exists
    # A run that was killed after it wrote Docker's file, and before Docker read it.
    host.check_output(f"touch {MARK}")
    starts = host.file(STARTS).content_string
    node.good(**layout)
    assert node.property("nvidia-persistenced.service", "NeedDaemonReload") == "no"
    assert json.loads(host.file(MIG_STATE).content_string)[0]["mig-devices"] == {"1g.10gb": 7}
    assert len(host.file(STARTS).content_string) > len(starts)
    assert not host.file(MARK).exists
    # The unit that applies it after a reboot reads this role's file.
    told = node.property("nvidia-mig-manager.service", "Environment")
    assert told == "MIG_PARTED_CONFIG_FILE=/etc/mlops-onprem/gpu/mig.yaml MIG_PARTED_SELECTED_CONFIG=all-1g.10gb"
    assert host.service("nvidia-mig-manager.service").is_enabled
    assert node.changed(**layout) == 0

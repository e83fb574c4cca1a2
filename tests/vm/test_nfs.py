"""NFS with real kernels: a server and a client, what goes over the wire, and what happens when the server goes away."""

from __future__ import annotations

import re
from typing import Any

import pytest
from disk import Disk
from machine import Machine
from rack import Play, Rack

GIB = 1024**3
DISK = Disk("SETS", GIB)
# A member of the group on the client alone: the server does not know the number.
MEMBER = "setpriv --reuid 4000 --regid 4000 --groups 7700"
CHECK = "mlops-onprem-storage-mounts.service"
PROM = "/var/lib/prometheus/node-exporter/mlops_storage_mounts.prom"

SETS = {"path": "/srv/data/sets", "group": "mlops", "mode": "2775", "quota": "64 MiB"}
MODELS = {"path": "/srv/data/models"}
SERVER: dict[str, Any] = {
    "storage_pools": [{"name": "data", "devices": [DISK.by_id], "mount": "/srv/data"}],
    "storage_directories": [SETS, MODELS, {"path": "/srv/frozen", "immutable": True}],
    "storage_exports": [
        {"path": "/srv/data/sets", "clients": ["10.77.0.0/24"]},
        {"path": "/srv/data/models", "clients": ["client"], "access": "ro"},
    ],
    "storage_nfs_listen_addresses": ["10.77.0.2"],
}
CLIENT: dict[str, Any] = {
    "storage_directories": [],
    "storage_mounts": [
        {"source": "server:/srv/data/sets", "path": "/mnt/data-sets"},
        {"source": "server:/srv/data/models", "path": "/mnt/models", "access": "ro"},
    ],
}


def role(host: str, variables: dict[str, Any]) -> dict[str, Any]:
    task = {"name": "Provide", "ansible.builtin.import_role": {"name": "mlops.onprem.storage"}}
    return {"hosts": host, "gather_facts": False, "vars": variables, "tasks": [task]}


@pytest.fixture(scope="module")
def server(rack: Rack) -> Machine:
    return rack.machine("server", [DISK], peer="client")


@pytest.fixture(scope="module")
def client(rack: Rack) -> Machine:
    return rack.machine("client", peer="server")


@pytest.fixture(scope="module")
def first(rack: Rack, server: Machine, client: Machine) -> Play:
    """The first run on both, from bare machines."""
    server.launch()
    client.launch()
    server.wait_for_ssh()
    client.wait_for_ssh()
    # The server's grace period is 90 s, and a test waits for it.
    server.ok(
        "mkdir -p /etc/nfs.conf.d && printf '[nfsd]\\ngrace-time=20\\nlease-time=20\\n' > /etc/nfs.conf.d/zz-test.conf"
    )
    server.ok("mkdir -p /srv/frozen/deep && echo kept > /srv/frozen/deep/file && ln -s /etc/passwd /srv/frozen/link")
    return rack.play([role("server", SERVER), role("client", CLIENT)])


def check_mounts(client: Machine) -> dict[str, int]:
    """What the timer does, now. path -> up."""
    client.ok(f"systemctl start {CHECK}")
    found = re.findall(r'^mlops_storage_mount_up\{path="(.*)"\} (\d)$', client.ok(f"cat {PROM}"), re.M)
    return {path: int(up) for path, up in found}


def test_a_second_run_changes_nothing(rack: Rack, first: Play) -> None:
    assert first.returncode == 0, first.output
    again = rack.play([role("server", SERVER), role("client", CLIENT)])
    assert again.returncode == 0, again.output
    assert (again.changed("server"), again.changed("client")) == (0, 0), again.output


def test_nothing_but_nfs_4_listens(first: Play, server: Machine, client: Machine) -> None:
    listening = [line.split()[4] for line in server.ok("ss -Hltun").splitlines()]
    assert [address for address in listening if not address.endswith(":22")] == ["10.77.0.2:2049"]
    assert client.run("timeout 5 bash -c '</dev/tcp/server/111'").returncode != 0
    assert client.run("ss -Hltun | grep -w 111").returncode != 0
    versions = server.ok("cat /proc/fs/nfsd/versions").split()
    assert "+4.2" in versions
    assert not {"+3", "+4.1", "+4.0"} & set(versions), versions


def test_it_is_mounted_as_wanted(first: Play, client: Machine) -> None:
    client.ok("ls /mnt/data-sets /mnt/models")
    options = client.ok("findmnt --types nfs4 --noheadings --output OPTIONS /mnt/data-sets").split(",")
    assert {"rw", "vers=4.2", "hard", "nconnect=4", "noatime"} <= set(options)
    number = client.ok("findmnt --types nfs4 --noheadings --output MAJ:MIN /mnt/data-sets").strip()
    assert client.ok(f"cat /sys/class/bdi/{number}/read_ahead_kb") == "15360"


def test_root_is_squashed_and_a_member_of_the_group_may_write(first: Play, client: Machine) -> None:
    assert client.run("touch /mnt/data-sets/by-root").returncode != 0
    client.ok(f"{MEMBER} sh -c 'echo one > /mnt/data-sets/one'")
    assert client.ok("stat --format='%u %g' /mnt/data-sets/one") == "4000 7700"
    assert client.run(f"{MEMBER} touch /mnt/models/one").returncode != 0


def test_a_quota_holds_over_nfs(first: Play, server: Machine, client: Machine) -> None:
    write = client.run(f"{MEMBER} dd if=/dev/zero of=/mnt/data-sets/large bs=1M count=80 conv=fsync")
    assert write.returncode != 0
    assert "quota" in write.stderr.lower() or "No space" in write.stderr, write.stderr
    assert int(server.ok("du --summarize --block-size=1M /srv/data/sets").split()[0]) <= 64
    client.ok(f"{MEMBER} rm /mnt/data-sets/large")


def test_what_is_immutable_stays(first: Play, server: Machine) -> None:
    for command in (
        "rm /srv/frozen/deep/file",
        "touch /srv/frozen/new",
        "echo x >> /srv/frozen/deep/file",
        "rm /srv/frozen/link",
    ):
        assert server.run(command).returncode != 0, command
    assert "i" not in server.ok("lsattr -d /etc/passwd").split()[0], "the flag followed a link"


def test_a_stale_mount_comes_back(first: Play, server: Machine, client: Machine) -> None:
    assert check_mounts(client) == {"/mnt/data-sets": 1, "/mnt/models": 1}
    # Another directory of the same name: the client's handle of the old one is stale.
    server.ok(
        "exportfs -ua && mv /srv/data/models /srv/data/old && mkdir /srv/data/models && rm -r /srv/data/old && exportfs -ra"
    )
    assert client.run("stat --file-system /mnt/models").returncode != 0
    assert check_mounts(client) == {"/mnt/data-sets": 1, "/mnt/models": 1}
    client.ok("stat --file-system /mnt/models")
    assert 'mlops_storage_mount_stale_total{path="/mnt/models"} 1' in client.ok(f"cat {PROM}")


def test_a_mount_that_hangs_is_left_alone(first: Play, server: Machine, client: Machine) -> None:
    with server.paused():
        assert check_mounts(client) == {"/mnt/data-sets": 0, "/mnt/models": 0}
    assert client.ok("findmnt --types nfs4 --noheadings --output TARGET /mnt/data-sets").strip() == "/mnt/data-sets"
    assert check_mounts(client) == {"/mnt/data-sets": 1, "/mnt/models": 1}


def test_a_client_goes_on_after_the_server_restarted(first: Play, server: Machine, client: Machine) -> None:
    client.ok(
        "systemd-run --unit=reader sh -c 'exec 3< /mnt/data-sets/one; sleep 1; touch /run/open; while sleep 1; do cat <&3 || exit 1; done'"
    )
    client.wait_for("test -e /run/open", 30)
    server.reboot()
    # Before its disks, it would answer with errors in place of letting clients wait.
    assert "srv-data.mount" in server.ok("systemctl show --property=After nfs-server").split()
    # It waits for the server's boot, and then for its grace period.
    client.ok(f"{MEMBER} sh -c 'cat /mnt/data-sets/one && echo two > /mnt/data-sets/two'", 400)
    assert client.ok("systemctl is-active reader mnt-data\\\\x2dsets.automount").split() == ["active", "active"]
    assert server.ok("cat /srv/data/sets/two") == "two"


def test_what_is_in_use_stays_mounted_and_the_rest_goes(
    rack: Rack, first: Play, server: Machine, client: Machine
) -> None:
    fewer = {
        **SERVER,
        "storage_directories": [SETS, MODELS, {"path": "/srv/frozen"}],
        "storage_exports": SERVER["storage_exports"][:1],
    }
    play = rack.play([role("server", fewer), role("client", {**CLIENT, "storage_state": "absent"})])
    assert play.returncode == 0, play.output
    assert "still mounted: /mnt/data-sets." in play.output
    assert client.ok("findmnt --types nfs4 --noheadings --output TARGET").split() == ["/mnt/data-sets"]
    assert "/mnt/models" not in client.ok("cat /etc/fstab")
    assert "models" not in server.ok("exportfs -s")
    server.ok("rm -r /srv/frozen/deep")


def test_all_of_it_goes_and_the_data_stays(rack: Rack, first: Play, server: Machine, client: Machine) -> None:
    client.ok("systemctl stop reader")
    play = rack.play(
        [
            role("client", {**CLIENT, "storage_state": "absent"}),
            role("server", {**SERVER, "storage_state": "absent", "storage_pools": []}),
        ]
    )
    assert play.returncode == 0, play.output
    assert "/mnt/" not in client.ok("cat /etc/fstab")
    assert client.run("findmnt --types nfs4,autofs | grep /mnt/").returncode != 0
    assert server.run("ss -Hltn | grep -w 2049").returncode != 0
    assert server.ok("cat /srv/data/sets/two") == "two"
    assert server.ok("xfs_quota -x -c 'report -p -b -N' /srv/data | grep -c /srv/data/sets || true") == "0"
    assert (
        server.run(
            "ls /etc/systemd/system/mlops-onprem-* /etc/exports.d/* /etc/nfs.conf.d/mlops* /etc/tmpfiles.d/mlops*"
        ).stdout
        == ""
    )

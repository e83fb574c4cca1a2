"""File systems of other servers: input errors, lines of fstab, and what is mounted now."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import fstab, mounts, places

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
AUTOFS = "40 22 0:50 / /mnt/sets rw,relatime - autofs systemd-1 rw,fd=54\n"


def mount(path: str = "/mnt/sets", **values) -> dict:
    return {
        "source": "storage1:/srv/sets", "path": path, "type": "nfs", "access": "rw", "version": "4.2", "nconnect": 4,
        "rdma": False, "options": [], **values,
    }  # fmt: skip


def mounted(options: str, source: str = "storage1:/srv/sets", kind: str = "nfs4") -> str:
    return f"41 40 0:51 / /mnt/sets {options.split(',')[0]},noatime - {kind} {source} {options}\n"


def test_a_right_list_has_no_problems():
    items = [
        mount(),
        mount("/mnt/b", rdma=True),
        mount("/mnt/c", source="[fd00::5]:/srv/c"),
        mount("/data/d", type="ceph", source="a@b.fs=/"),
    ]
    assert mounts.problems(items, ["/srv/pool"]) == []
    assert mounts.problems([mount("/srv/pool/inner")], ["/srv/pool"]) == [], "below a pool's mount is fine"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"path": "mnt/sets"}, "absolute path"),
        ({"path": "/mnt/my sets"}, "absolute path"),
        ({"path": "/mnt/%sets"}, "absolute path"),
        ({"path": "/usr/share"}, "system itself"),
        ({"path": "/srv"}, "system itself"),
        ({"path": "/srv/pool"}, "a pool of this host"),
        ({"source": "/srv/sets"}, "has no server"),
        ({"source": "storage1:srv"}, "has no server"),
        ({"source": "storage1:/my sets"}, "has no server"),
        ({"version": "4.3"}, "version is 4.3"),
        ({"nconnect": 0}, "nconnect is 0"),
        ({"nconnect": 17}, "nconnect is 17"),
        ({"options": ["nconnect=8"]}, "leave it out"),
        ({"options": ["vers=3"]}, "leave it out"),
        ({"options": ["nfsvers=3"]}, "leave it out"),
        ({"options": ["ro"]}, "leave it out"),
        ({"options": ["soft"]}, "loses writes"),
        ({"options": ["soft", "hard"], "access": "ro"}, "more than one"),
        ({"options": ["timeo=600", "timeo=50"]}, "given twice"),
        ({"options": ["a,b"]}, "cannot stand in fstab"),
        ({"options": ['x="y"']}, "cannot stand in fstab"),
        ({"rdma": True, "options": ["port=1"]}, "leave it out"),
        ({"type": "nfs4"}, "write nfs"),
        ({"type": "No Type"}, "no type"),
        ({"type": "ceph", "source": ""}, "is empty"),
        ({"type": "ceph", "options": ["ro"]}, "access says"),
    ],
)
def test_a_wrong_mount_is_named_with_its_reason(values, said):
    found = mounts.problems([mount(**values)], ["/srv/pool"])
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("storage_mounts[0] (")


def test_two_mounts_must_not_be_in_one_place():
    assert "mounted there too" in mounts.problems([mount(), mount(source="b:/c")], [])[0]


def test_mounts_from_one_server_share_its_connections():
    assert "share its connections" in mounts.problems([mount(), mount("/mnt/b", nconnect=8)], [])[0]
    assert mounts.problems([mount(), mount("/mnt/b", nconnect=8, source="other:/b")], []) == []
    assert mounts.problems([mount(), mount("/mnt/b", nconnect=8, rdma=True)], []) == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "rw,vers=4.2,hard,nconnect=4,noatime"),
        ({"access": "ro", "version": "3", "nconnect": 1}, "ro,vers=3,hard,noatime"),
        ({"rdma": True}, "rw,vers=4.2,hard,proto=rdma,port=20049,noatime"),
        ({"options": ["softerr", "relatime", "actimeo=60"]}, "rw,vers=4.2,nconnect=4,softerr,relatime,actimeo=60"),
        ({"type": "ceph", "options": ["name=a"]}, "rw,name=a,noatime"),
    ],
)
def test_options_in_fstab(values, text):
    assert (
        ",".join(mounts.options(mount(**values)))
        == text + ",_netdev,nofail,x-systemd.automount,x-systemd.mount-timeout=30s"
    )


PATHS = {
    "/mnt/sets": "mnt-sets",
    "/mnt/a-b": r"mnt-a\x2db",
    "/mnt/.x/.y": "mnt-.x-.y",
    "/.a/b": r"\x2ea-b",
    "/m@/c+d": r"m\x40-c\x2bd",
}


@pytest.mark.parametrize(("path", "name"), PATHS.items())
def test_the_name_of_a_unit(path, name):
    assert mounts.unit(path) == f"{name}.automount"


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="systemd-escape is not installed")
def test_the_name_of_a_unit_is_the_one_that_systemd_gives():
    said = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", *PATHS], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert said.split() == [mounts.unit(path, "mount") for path in PATHS]


def look(item: dict, table: str = ROOT, lines: str = "") -> dict:
    return mounts.look([item], places.parse(table), fstab.parse(lines))


def test_what_fstab_lacks_is_to_be_written():
    answer = look(mount())
    assert answer["fstab"][0]["options"].startswith("rw,vers=4.2")
    line = "{source} {path} {type} {options} 0 0\n".format(**answer["fstab"][0])
    assert look(mount(), lines=line)["fstab"] == []
    assert len(look(mount(access="ro"), lines=line)["fstab"]) == 1
    assert answer["units"] == ["mnt-sets.automount"]


@pytest.mark.parametrize(
    ("values", "options", "why"),
    [
        ({}, "rw,vers=4.2,hard,proto=tcp,nconnect=4", ""),
        ({"version": "4"}, "rw,vers=4.2,proto=tcp,nconnect=4", ""),
        ({"nconnect": 1}, "rw,vers=4.2,proto=tcp", ""),
        ({}, "rw,vers=4.2,proto=tcp", "nconnect is 1"),
        ({"access": "ro"}, "rw,vers=4.2,proto=tcp,nconnect=4", "not mounted ro"),
        ({}, "rw,vers=4.1,proto=tcp,nconnect=4", "its version is 4.1"),
        ({"rdma": True}, "rw,vers=4.2,proto=tcp,nconnect=4", "its protocol is tcp"),
        ({"source": "other:/srv/sets"}, "rw,vers=4.2,proto=tcp,nconnect=4", "it is storage1:/srv/sets"),
    ],
)
def test_what_is_mounted_otherwise_is_told(values, options, why):
    remount = look(mount(**values), ROOT + AUTOFS + mounted(options))["remount"]
    assert len(remount) == bool(why)
    assert all(why in entry["why"] for entry in remount)


def test_an_automount_that_waits_is_not_asked():
    assert look(mount(), ROOT + AUTOFS) == {**look(mount(), ROOT + AUTOFS), "remount": [], "problems": []}


def test_a_mount_point_with_files_is_refused(tmp_path):
    assert look(mount(str(tmp_path / "none")))["problems"] == []
    assert look(mount(str(tmp_path)))["problems"] == []
    (tmp_path / "kept").touch()
    assert "not empty (kept)" in look(mount(str(tmp_path)))["problems"][0]
    assert "cannot be used" in look(mount(str(tmp_path / "kept")))["problems"][0]


def test_another_file_system_in_its_place_is_refused():
    assert "unmount it first" in look(mount(), ROOT + mounted("rw", "/dev/vdb", "xfs"))["problems"][0]


def test_a_type_that_the_host_cannot_mount_is_refused():
    assert "cannot mount nosuchfs" in look(mount(type="nosuchfs"))["problems"][0]
    assert look(mount(type="proc"))["problems"] == []


def test_who_else_needs_rpcbind():
    table = places.parse(ROOT + "41 22 0:51 / /mnt/old rw - nfs filer:/old rw,vers=3\n")
    assert mounts.rpcbind_users(table, {}, []) == ["/mnt/old is mounted with NFS 3"]
    assert mounts.rpcbind_users(table, {}, ["/mnt/old"]) == []
    entries = fstab.parse("filer:/x /mnt/x nfs nfsvers=3 0 0\nfiler:/y /mnt/y nfs defaults 0 0\n")
    assert mounts.rpcbind_users([], entries, []) == ["/mnt/x is in /etc/fstab with NFS 3"]

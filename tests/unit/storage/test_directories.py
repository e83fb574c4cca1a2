"""Directories: input errors, what differs on a host, projects of quotas and the file of retention."""

from __future__ import annotations

import os
import struct

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import directories, inodes, places, projects
from hypothesis import given, settings
from hypothesis import strategies as st

XFS = "31 22 8:1 / /srv/pool rw,noatime - xfs /dev/sdb1 rw,prjquota\n"
ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


def directory(path: str = "/srv/mlops/sets", **values) -> dict:
    return {
        "path": path,
        "owner": "root",
        "group": "root",
        "mode": "0755",
        "quota": "",
        "immutable": False,
        "retention": "",
        **values,
    }


def problems(*items: dict, mounts=()) -> list[str]:
    return directories.problems(list(items), list(mounts))


def test_a_right_list_has_no_problems():
    assert (
        problems(
            directory(),
            directory("/srv/mlops/scratch", mode="1777", retention="30d", quota="2 TiB"),
            directory("/data", immutable=True),
        )
        == []
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"path": "srv/sets"}, "absolute path"),
        ({"path": "/srv/a b"}, "absolute path"),
        ({"path": "/srv/a*"}, "absolute path"),
        ({"path": "/srv/../etc"}, "absolute path"),
        ({"path": "/srv"}, "system itself"),
        ({"path": "/usr/share/x"}, "system itself"),
        ({"mode": "755"}, "four octal digits"),
        ({"mode": "493"}, "four octal digits"),
        ({"mode": "0888"}, "four octal digits"),
        ({"mode": "0577"}, "more than the owner"),
        ({"quota": "2"}, "is no size"),
        ({"quota": "1 kB"}, "at least 1 MiB"),
        ({"retention": "30"}, "number and a unit"),
        ({"retention": "0d"}, "number and a unit"),
        ({"retention": "30d", "path": "/data"}, "directory of its own"),
        ({"retention": "30d", "path": "/home/ann"}, "directory of its own"),
        ({"retention": "30d", "path": "/var/lib/x"}, "directory of its own"),
        ({"retention": "30d", "immutable": True}, "choose one"),
    ],
)
def test_a_wrong_directory_is_named_with_its_reason(values, said):
    found = problems(directory(**values))
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("storage_directories[0] (")


def test_a_mode_without_quotes_is_seen():
    """YAML makes the number 493 of 0755. Whatever mode it was, the number must not pass for another."""
    passed = [
        oct(mode) for mode in range(0o700, 0o10000) if mode & 0o700 == 0o700 and not list(directories._mode(str(mode)))
    ]
    assert passed == []


@pytest.mark.parametrize("mode", ["0755", "0700", "0555", "1777", "2775", "2750", "0711", "3770"])
def test_a_mode_as_people_write_it_is_right(mode):
    assert list(directories._mode(mode)) == []


def test_directories_are_told_apart():
    assert "same path" in problems(directory(), directory())[0]
    assert "on that server" in problems(directory(), mounts=[{"path": "/srv/mlops", "source": "a:/b"}])[0]
    assert "one quota" in problems(directory(quota="1 GiB"), directory("/srv/mlops/sets/a", quota="1 GiB"))[0]
    for pair in (
        (directory(immutable=True), directory("/srv/mlops/sets/a")),
        (directory("/srv/mlops/sets/a"), directory(immutable=True)),
    ):
        assert "is immutable" in problems(*pair)[0]


def test_unknown_accounts_are_named():
    items = [directory(owner="no-such-user", group="mlops"), directory("/srv/b", owner="4000", group="4000")]
    assert [text.split(": ")[1][:5] for text in directories.account_problems(items, "mlops")] == ["owner"]
    assert len(directories.account_problems(items, "")) == 2


def test_a_group_number_that_is_taken_is_refused():
    assert directories.group_problems("", 0) == []
    assert directories.group_problems("no-such-group", 2**31) == []
    assert "has 0 on this host" in directories.group_problems("root", 7700)[0]
    assert (
        "group root" in directories.group_problems("no-such-group", 0)[0]
        or "from 1" in directories.group_problems("no-such-group", 0)[0]
    )
    assert "small letters" in directories.group_problems("No Group", 7700)[0]


def test_only_what_has_a_retention_is_cleaned():
    text = directories.retention([directory(), directory("/srv/mlops/scratch", retention="30d")])
    assert text.splitlines()[1:] == ["e /srv/mlops/scratch - - - 30d"]
    assert directories.retention([directory()]) == ""


def look(*items: dict, table: str = ROOT + XFS, pools=None, projects_text="", projid_text="") -> dict:
    texts = {"projects": projects_text, "projid": projid_text}
    return directories.look(list(items), places.parse(table), pools or {}, ("mlops", 7700), texts)


def mine(path, **values) -> dict:
    return directory(str(path), owner=str(os.getuid()), group=str(os.getgid()), **values)


def test_only_what_differs_is_told(tmp_path):
    place = tmp_path / "sets"
    assert [entry["path"] for entry in look(mine(place))["directories"]] == [str(place)]
    place.mkdir()
    place.chmod(0o755)
    assert look(mine(place))["directories"] == []
    assert len(look(mine(place, mode="2775"))["directories"]) == 1
    assert len(look(mine(place) | {"owner": "4001"})["directories"]) == 1


def test_what_a_mount_will_hide_counts_as_missing(tmp_path):
    place = tmp_path / "sets"
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    assert len(look(mine(place), pools={str(tmp_path): "xfs"})["directories"]) == 1
    assert look(mine(place), pools={str(tmp_path / "other"): "xfs"})["directories"] == []


def test_what_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert "no directory" in look(mine(tmp_path / "file"))["problems"][0]
    assert f"a link to {tmp_path}" in look(mine(tmp_path / "link"))["problems"][0]


def test_a_directory_on_a_remote_file_system_is_refused():
    table = ROOT + "31 22 0:41 / /mnt/far rw - nfs4 storage1:/srv/x rw,vers=4.2\n"
    assert "storage1:/srv/x" in look(directory("/mnt/far/a"), table=table)["problems"][0]


@pytest.mark.parametrize(
    ("table", "pools", "said"),
    [
        (ROOT + XFS, {"/srv/pool": "xfs"}, ""),
        (ROOT, {"/srv/pool": "xfs"}, ""),
        (ROOT, {"/srv/pool": "ext4"}, "xfs, and /srv/pool is ext4"),
        (ROOT, {}, "xfs, and / is ext4"),
        # A pool is mounted anew for it; what is not a pool is its owner's business.
        (ROOT + XFS.replace(",prjquota", ",noquota"), {"/srv/pool": "xfs"}, ""),
        (ROOT + XFS.replace(",prjquota", ",noquota"), {}, "mounted with prjquota"),
    ],
)
def test_a_quota_needs_xfs_with_project_quotas(table, pools, said):
    answer = look(directory("/srv/pool/a", quota="1 GiB"), table=table, pools=pools)
    if said:
        assert said in answer["problems"][0]
        assert answer["quotas"] == []
    else:
        assert answer["problems"] == []
        assert answer["quotas"] == [
            {"path": "/srv/pool/a", "name": "/srv/pool/a", "mount": "/srv/pool", "limit": 2**30}
        ]


def test_a_quota_on_a_whole_file_system_is_refused():
    assert "own size" in look(directory("/srv/pool", quota="1 GiB"), pools={"/srv/pool": "xfs"})["problems"][0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.from_regex(r"/srv/[a-z]{1,8}", fullmatch=True), unique=True, max_size=8))
def test_projects_are_stable_and_leave_others_alone(paths):
    foreign = "10:/home/ann\n# a comment\n"
    first = projects.plan(sorted(paths), foreign, "ann:10\n")
    assert len(set(first.ids.values())) == len(paths)
    assert 10 not in first.ids.values()
    again = projects.plan(sorted(paths), first.projects or foreign, first.projid or "ann:10\n")
    assert (again.ids, again.projects, again.projid, again.dropped) == (first.ids, None, None, [])
    gone = projects.plan([], first.projects or foreign, first.projid or "ann:10\n")
    assert gone.dropped == sorted(paths)
    assert (gone.projects or foreign, gone.projid or "ann:10\n") == (foreign, "ann:10\n")


def test_a_number_that_is_taken_is_not_given_again():
    (number,) = projects.plan(["/srv/a"], "", "").ids.values()
    taken = f"{number}:/home/ann\n"
    assert projects.plan(["/srv/a"], taken, "").ids == {"/srv/a": number + 1}


def test_the_flags_of_a_directory(monkeypatch, tmp_path):
    def ioctl(_handle, request, *_arguments):
        assert request == inodes.FS_IOC_FSGETXATTR
        return struct.pack("=5I8x", inodes.FS_XFLAG_IMMUTABLE | inodes.FS_XFLAG_PROJINHERIT, 0, 0, 66000, 0)

    monkeypatch.setattr(inodes.fcntl, "ioctl", ioctl)
    state = inodes.read(str(tmp_path))
    assert isinstance(state, inodes.Inode)
    assert (state.immutable, state.project) == (True, 66000)
    assert "set immutable: false first" in look(mine(tmp_path, mode="2775", immutable=True))["problems"][0]
    answer = look(mine(tmp_path, mode="2775"))
    assert (answer["thaw"], answer["freeze"], answer["problems"], len(answer["directories"])) == (
        [str(tmp_path)],
        [],
        [],
        1,
    )


def test_a_file_system_without_the_flag_is_told(monkeypatch, tmp_path):
    def ioctl(*_arguments):
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(inodes.fcntl, "ioctl", ioctl)
    item = mine(tmp_path, mode=f"0{tmp_path.stat().st_mode & 0o777:o}")
    assert (look(item)["thaw"], look(item)["freeze"]) == ([], [])
    assert "cannot make files immutable" in look({**item, "immutable": True})["problems"][0]

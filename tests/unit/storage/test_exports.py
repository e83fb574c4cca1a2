"""What is exported by NFS: input errors, and the files for the server."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import exports, places

ADDRESS = ["10.0.0.5"]


def export(path: str = "/srv/sets", **values) -> dict:
    return {
        "path": path,
        "clients": ["10.0.0.0/24"],
        "access": "rw",
        "squash": "root",
        "security": ["sys"],
        "options": [],
        **values,
    }


def problems(*items: dict, listen=tuple(ADDRESS), versions=("4.2",), threads=0, mounts=()) -> list[str]:
    return exports.problems(list(items), list(listen), list(versions), threads, list(mounts))


def test_a_right_list_has_no_problems():
    assert (
        problems(export(), export("/srv/models", clients=["gpu1.example.com", "10.1.2.3", "fd00:1::/64", "@gpus"]))
        == []
    )
    assert problems(listen=[]) == [], "without exports, the server's settings do not matter"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"clients": []}, "clients is empty"),
        ({"clients": ["*"]}, "it is everybody"),
        ({"clients": ["0.0.0.0/0"]}, "it is everybody"),
        ({"clients": ["::/0"]}, "it is everybody"),
        ({"clients": ["*.example.com"]}, "wildcard"),
        ({"clients": ["10.0.0.7/24"]}, "write 10.0.0.0/24, or 10.0.0.7"),
        ({"clients": ["10.0.0.0/33"]}, "is no network"),
        ({"clients": ["10.0.0.256"]}, "is no address"),
        ({"clients": ["10.0.0"]}, "is no address"),
        ({"clients": ["gpu 1"]}, "neither a network"),
        ({"clients": ["a(rw)"]}, "neither a network"),
        ({"clients": ["gpu1", "gpu1"]}, "named twice"),
        ({"security": []}, "security is empty"),
        ({"security": ["krb"]}, "security 'krb'"),
        ({"options": ["no_root_squash"]}, "set those"),
        ({"options": ["rw"]}, "set those"),
        ({"options": ["asinc"]}, "none of exports(5)"),
        ({"options": ["async,insecure"]}, "none of exports(5)"),
        ({"path": "srv/sets"}, "absolute path"),
        ({"path": "/srv/my sets"}, "absolute path"),
        ({"path": "/srv/../etc"}, "absolute path"),
        ({"path": "/srv/sets/"}, "absolute path"),
    ],
)
def test_a_wrong_export_is_named_with_its_reason(values, said):
    found = problems(export(**values))
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("storage_exports[0] (")


def test_exports_must_not_overlap():
    assert "same path" in problems(export(), export())[0]
    for one, other in (("/srv/sets", "/srv/sets/a"), ("/srv/sets/a", "/srv/sets")):
        assert "overlaps" in problems(export(one), export(other))[0]
    assert problems(export("/srv/sets"), export("/srv/sets2")) == [], "a longer name is no directory below"


def test_what_comes_from_another_server_is_not_exported():
    mount = {"source": "storage1:/srv/sets", "path": "/srv/sets"}
    assert "comes from storage1:/srv/sets" in problems(export("/srv/sets/a"), mounts=[mount])[0]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"listen": []}, "listen_addresses is empty"),
        ({"listen": ["0.0.0.0"]}, "every network"),
        ({"listen": ["::"]}, "every network"),
        ({"listen": ["storage1"]}, "no address"),
        ({"versions": ["3"]}, "lacks 4.2"),
        ({"versions": ["4.2", "4.1"]}, "'4.1'"),
        ({"threads": 5000}, "storage_nfs_threads"),
        ({"threads": -1}, "storage_nfs_threads"),
    ],
)
def test_a_wrong_server_is_named(server, said):
    found = problems(export(), **server)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("wanted", "cores", "threads"), [(0, 1, 16), (0, 2, 16), (0, 8, 64), (0, 128, 256), (12, 128, 12)]
)
def test_threads_follow_the_cores(wanted, cores, threads):
    assert exports.threads_for(wanted, cores) == threads


def test_the_file_holds_one_line_for_each_path():
    text = exports.text(
        [export(clients=["10.0.0.0/24", "gpu9"], access="ro"), export("/srv/m", squash="none", options=["async"])], []
    )
    assert text.splitlines()[1:] == [
        "/srv/sets 10.0.0.0/24(ro,sync,no_subtree_check,root_squash,sec=sys) gpu9(ro,sync,no_subtree_check,root_squash,sec=sys)",
        "/srv/m 10.0.0.0/24(rw,no_subtree_check,no_root_squash,sec=sys,async)",
    ]
    assert exports.text([], []) == ""


def test_an_export_on_a_pool_is_served_only_while_that_is_mounted():
    (entry,) = exports.entries([export("/srv/pool/a/sets")], ["/srv/pool", "/srv/pool/a", "/srv/poo"])
    assert "mountpoint=/srv/pool/a" in entry["options"]
    (entry,) = exports.entries([export("/srv/pool/sets", options=["mp=/srv"])], ["/srv/pool"])
    assert not any(option.startswith("mountpoint") for option in entry["options"])


def test_only_wanted_versions_are_served():
    text = exports.configuration(["10.0.0.5", "fd00::5"], ["4.2"], 64, rdma=False)
    assert {"threads=64", "host=10.0.0.5,fd00::5", "vers3=n", "vers4.0=n", "vers4.1=n", "vers4.2=y"} <= set(
        text.splitlines()
    )
    assert "rdma" not in text
    assert {"vers3=y", "rdma=y", "rdma-port=20049"} <= set(
        exports.configuration(["10.0.0.5"], ["4.2", "3"], 64, rdma=True).splitlines()
    )


def test_rights_of_root_are_shown():
    (warning,) = exports.warnings([export(), export("/srv/m", squash="none")])
    assert "storage_exports[1] (/srv/m)" in warning


TABLE = places.parse(
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 0:40 / /run rw shared:2 - tmpfs tmpfs rw\n"
    "31 22 0:41 / /mnt/far rw - nfs4 storage1:/srv/x rw,vers=4.2\n"
)


def look(item: dict, made=(), pools=(), listen=("127.0.0.1",), rdma=False) -> list[str]:
    return exports.look([item], list(listen), rdma, TABLE, list(made), list(pools))


def test_the_host_is_held_against_the_exports(tmp_path):
    there = str(tmp_path)
    assert look(export(there)) == []
    assert "no such directory" in look(export("/srv/not/there"))[0]
    assert look(export("/srv/not/there"), made=["/srv/not/there"]) == []
    assert look(export("/srv/pool/sets"), pools=["/srv/pool"]) == []
    assert "fsid" in look(export("/run"))[0]
    assert look(export("/run", options=["fsid=7"])) == []
    assert "storage1:/srv/x" in look(export("/mnt/far/a"))[0]
    assert "empty directory" in look(export(there), pools=[there + "/inner"])[0]
    assert look(export(there, options=["crossmnt"]), pools=[there + "/inner"]) == []
    # 192.0.2.0/24 is for examples (RFC 5737): no host has it.
    assert "192.0.2.1" in look(export(there), listen=["192.0.2.1"])[0]
    assert "RDMA" in look(export(there), rdma=True)[0]


def test_the_server_starts_after_the_pools_that_it_serves():
    items = [export("/srv/data/sets"), export("/srv"), export("/home")]
    assert exports.order(items, ["/srv/data", "/srv/fast-scratch", "/opt/other"]).splitlines()[1:] == [
        "[Unit]",
        "After=srv-data.mount",
        "After=srv-fast\\x2dscratch.mount",
    ]
    assert exports.order([export("/home")], ["/srv/data"]) == ""

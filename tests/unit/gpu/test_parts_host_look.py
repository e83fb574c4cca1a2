"""What is read of a host for its parts."""

from __future__ import annotations

import grp
import os
import pwd

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import parts_host_look as reader
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.parts_host_docker import merge, without
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.parts_host_versions import numbers

from .test_parts_host import mig as mig_plan


def put(root, path, text, mode=0o644):
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)
    return place


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24+dfsg1"),
        ("podman version 4.3.1\n", "4.3.1"),
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1\n", "1.6.20~ds1"),
        ("containerd github.com/containerd/containerd/v2 v2.1.3 abcdef\n", "2.1.3"),
        ("", None),
        ("no such thing\n", None),
    ],
)
def test_versions_as_the_programs_print_them(answer, version):
    assert reader.version_in(answer) == version


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("26.1.5+dfsg1-9", (26, 1, 5)), ("5:28.3.3-1", (28, 3, 3)), ("1.6.20~ds1", (1, 6, 20)), ("x", ())],
)
def test_versions_as_numbers(text, wanted):
    assert numbers(text) == wanted


def test_a_bare_host(tmp_path):
    found = reader.look(str(tmp_path))
    assert [found[name]["installed"] for name in ("docker", "podman", "containerd")] == [False, False, False]
    assert (found["docker"]["config"], found["mig_parted"], found["pending"]) == (None, False, [])
    assert set(found["texts"].values()) == {None}


def test_dockers_file_with_its_mode_and_owner(tmp_path):
    put(tmp_path, "/usr/bin/dockerd", "", 0o755)
    put(tmp_path, "/etc/docker/daemon.json", "{}", 0o600)
    found = reader.docker(str(tmp_path))
    # A program of a recorded tree is not run.
    assert (found["installed"], found["version"]) == (True, None)
    assert (found["config"], found["mode"], found["owner"]) == ("{}", "0600", os.getuid())


def test_a_file_that_is_no_text_or_too_large_or_a_folder(tmp_path):
    place = put(tmp_path, "/etc/docker/daemon.json", "")
    place.write_bytes(b"\xff\xfe")
    assert "UTF-8" in reader.docker(str(tmp_path))["error"]
    place.write_text(" " * (1 << 20) + "{}")
    assert "1 MiB" in reader.docker(str(tmp_path))["error"]
    place.unlink()
    place.mkdir()
    assert "cannot be read" in reader.docker(str(tmp_path))["error"]


DROP_IN = '[plugins]\nBinaryName = "/usr/bin/nvidia-container-runtime"\nenable_cdi = true\n'


@pytest.mark.parametrize(
    ("config", "drop_in", "cri", "configured"),
    [
        (None, None, True, False),
        ('disabled_plugins = ["cri"]\n', None, False, False),
        ('version = 3\ndisabled_plugins = [\n  "io.containerd.grpc.v1.cri",\n]\n', None, False, False),
        ("disabled_plugins = []\n", None, True, False),
        ('imports = ["/etc/containerd/conf.d/*.toml"]\nversion = 2\n', DROP_IN, True, True),
        ("version = 2\n", DROP_IN, True, False),
        ('imports = ["/etc/containerd/conf.d/*.toml"]\n', "version = 2\n", True, False),
    ],
)
def test_containerd(tmp_path, config, drop_in, cri, configured):
    if config is not None:
        put(tmp_path, reader.CONTAINERD, config)
    if drop_in is not None:
        put(tmp_path, reader.CONTAINERD_DROP_IN, drop_in)
    found = reader.containerd(str(tmp_path))
    assert (found["cri"], found["configured"]) == (cri, configured)


def test_what_waits_for_a_restart(tmp_path):
    for name in ("docker", "imex"):
        put(tmp_path, f"{reader.STATE}/restart-{name}", "")
    put(tmp_path, f"{reader.STATE}/driver.json", "{}")
    assert reader.look(str(tmp_path))["pending"] == ["docker", "imex"]


def test_units_that_are_this_roles(tmp_path):
    """By the files that the plan writes, whichever units it has."""
    assert reader.configured(str(tmp_path)) == []
    put(tmp_path, "/etc/systemd/system/nvidia-nvsm.service.d/site.conf", "")
    result = mig_plan()
    for file in result["files"]:
        put(tmp_path, file["path"], file["content"])
    assert set(reader.configured(str(tmp_path))) == {*result["units"], *result["enabled"]}


def test_groups_and_users_of_this_host():
    me = pwd.getpwuid(os.getuid())
    own = grp.getgrgid(me.pw_gid).gr_name
    # The first group of a user has no line of its own for it.
    assert me.pw_name in (reader.groups([own])[own] or [])
    assert reader.groups(["no-such-group"]) == {"no-such-group": None}
    assert reader.missing_users([me.pw_name, "no-such-user"]) == ["no-such-user"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_devices_without_a_link(tmp_path):
    (tmp_path / "dev/char").mkdir(parents=True)
    assert reader.unlinked(str(tmp_path)) is False
    try:
        os.mknod(tmp_path / "dev/nvidia0", 0o600 | 0o020000, os.makedev(195, 0))
    except PermissionError:
        pytest.skip("no devices can be made here")
    assert reader.unlinked(str(tmp_path)) is True
    (tmp_path / "dev/char/195:0").symlink_to("../nvidia0")
    assert reader.unlinked(str(tmp_path)) is False


def test_taking_out_what_was_put_in():
    merged = merge('{"debug": true}', "28.3.3")
    assert '"nvidia"' in merged.text
    assert '"nvidia"' not in without(merged.text)
    assert '"debug": true' in without(merged.text)
    # Another one's entry of that name is not ours to take.
    assert without('{"runtimes": {"nvidia": {"path": "/opt/x"}}}') is None
    assert without("{") is None
    assert without(None) is None

"""What the parts put on a host: one test for each fact of the vendors that it rests on."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_parts import parts
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import parts_host, parts_host_units

from .hosts import AMD, choose, facts

H100, H200, B200, GB200, T4 = "10de:2330", "10de:2335", "10de:2901", "10de:2941", "10de:1eb8"
VERSION = "580.178.04"
NONE = {"installed": False, "version": None}
SHA = "ab" * 32


def looked(**more):
    """What parts_host_look.look finds on a host without any container runtime."""
    return {
        "docker": {**NONE, "config": None, "error": None, "mode": "0644", "owner": 0, "group": 0},
        "podman": NONE,
        "containerd": {
            **NONE, "cri": True, "configured": False, "sha256": "0" * 64, "configured_for": None, "kubelet": False,
        },
        "mig_parted": True,
        "texts": {},
        "configured": [],
        "groups": {"render": [], "video": []},
        "missing_users": [],
        "unlinked": False,
        "pending": [],
        **more,
    }  # fmt: skip


def runtime(name, version, **more):
    base = looked()[name]
    return {name: {**base, "installed": True, "version": version, **more}}


def plan(host, loaded=VERSION, container=False, processes=(), options=None, look=None, **selection):
    chosen = choose(host, **{"version": VERSION, **selection})
    assert chosen["refused"] is None, chosen["refused"]
    found = {
        "container": container,
        "loaded": {"version": loaded} if loaded else None,
        "processes": list(processes),
        "parts": look or looked(),
    }
    return parts(chosen, host, found, options or {})


def content(result, path):
    return next(file["content"] for file in result["files"] if file["path"] == path)


def drop_in(result, unit):
    return content(result, f"/etc/systemd/system/{unit}.d/mlops-onprem.conf")


# Units: now, at boot, or not at all.


def test_daemons_run_once_the_module_of_their_version_is_loaded():
    daemons = ["nvidia-persistenced.service", "nvidia-dcgm.service", "nvidia-cdi-refresh.path"]
    now = plan(facts("debian12", H100))
    assert now["units"] == daemons
    assert now["enabled"] == ["nvidia-cdi-refresh.service"]
    for later in (plan(facts("debian12", H100), loaded=None), plan(facts("debian12", H100), loaded="570.86.15")):
        assert later["units"] == []
        assert set(later["enabled"]) == {*daemons, "nvidia-cdi-refresh.service"}


def test_an_image_has_them_enabled_and_starts_none():
    image = plan(facts("debian12"), container=True, force_vendor="nvidia", generations=["Hopper"])
    assert image["units"] == []
    assert "nvidia-persistenced.service" in image["enabled"]


def test_a_container_with_user_space_only_gets_nothing():
    host = facts("debian12", H100, system={"container": "docker"}, drivers=[{"name": "nvidia", "version": VERSION}])
    assert [plan(host, container=True)[key] for key in ("files", "units", "enabled", "apply")] == [[], [], [], []]


def test_a_module_that_was_loaded_after_the_look_counts():
    result = plan(facts("debian12", H100), loaded=None, options={"loaded_version": VERSION})
    assert "nvidia-persistenced.service" in result["units"]


@pytest.mark.parametrize("unit", ["nvidia-persistenced.service", "nvidia-dcgm.service", "nvidia-fabricmanager.service"])
def test_units_ask_the_bus_and_no_device_file(unit):
    """A device file is there only after the module is loaded, and the daemon would be skipped for good at boot."""
    text = drop_in(plan(facts("debian12", H200, switches=4)), unit)
    assert "ExecCondition=/bin/sh -c '" in text
    assert "/sys/bus/pci/devices" in text
    assert "ConditionPathExists" not in text


def test_words_for_systemd_have_no_variables_of_its_own():
    assert parts_host_units.shell("read v < $d; echo 5%") == "/bin/sh -c 'read v < $$d; echo 5%%'"


def test_persistence_mode_is_on_also_where_the_daemon_starts_without_it():
    """Ubuntu's unit has --no-persistence-mode; the user it runs as differs by package, so its command stays."""
    text = drop_in(plan(facts("ubuntu24", H100)), "nvidia-persistenced.service")
    assert "ExecStartPost=-/usr/bin/nvidia-smi --persistence-mode=1" in text
    assert "ExecStart=" not in text
    assert "Restart=on-failure" in text


# Fabric Manager, NVLink 5, IMEX.


def test_fabric_manager_runs_where_there_are_nvswitches():
    assert "nvidia-fabricmanager.service" in plan(facts("debian12", H200, switches=4))["units"]
    assert "nvidia-fabricmanager.service" in plan(facts("ubuntu24", B200))["units"]


def test_fabric_manager_by_hand_without_a_switch_does_not_run_and_does_not_fail():
    result = plan(facts("debian12", H200), parts={"fabric_manager": True})
    assert "nvidia-fabricmanager.service" not in result["units"]
    assert "nvidia-fabricmanager.service" in result["enabled"]


def test_fabric_manager_of_nvlink5_has_its_modules_loaded_before_it_looks():
    text = drop_in(plan(facts("ubuntu24", B200)), "nvidia-fabricmanager.service")
    assert "ExecStartPre=-/sbin/modprobe --all ib_umad mlx5_core" in text
    assert "SW_MNG" in text
    four = drop_in(plan(facts("debian12", H200, switches=4)), "nvidia-fabricmanager.service")
    assert "modprobe" not in four


def imex(nodes, **look):
    host = facts("ubuntu24", GB200, machine="aarch64")
    return plan(host, options={"imex_nodes": nodes}, look=looked(**look))


def test_imex_reads_one_host_a_line_and_again_when_they_change():
    nodes = ["10.0.0.11", "10.0.0.12"]
    first = imex(nodes)
    assert content(first, "/etc/nvidia-imex/nodes_config.cfg") == "10.0.0.11\n10.0.0.12\n"
    assert "nvidia-imex.service" in first["units"]
    assert first["apply"] == ["imex"]
    paths = [file["path"] for file in first["files"]]
    # The mark that a killed run leaves is written before the file.
    assert paths.index("/var/lib/mlops-onprem/gpu/restart-imex") < paths.index("/etc/nvidia-imex/nodes_config.cfg")
    there = {"/etc/nvidia-imex/nodes_config.cfg": "10.0.0.11\n10.0.0.12\n"}
    assert imex(nodes, texts=there)["apply"] == []
    assert imex(nodes, texts=there, pending=["imex"])["apply"] == ["imex"]


def test_imex_without_hosts_is_not_started():
    result = imex([])
    assert "nvidia-imex.service" not in [*result["units"], *result["enabled"]]
    assert "names no hosts" in result["notes"][0]


def test_imex_refuses_what_is_no_address():
    for wrong in ("10.0.0.300", "a b", "", 7):
        assert repr(wrong) in imex(["fd00::1", "gpu1.example.com", wrong])["refused"][0]


# Container toolkit.


def docker_plan(version="28.3.3", config=None, system="debian12", pending=(), **options):
    look = looked(**runtime("docker", version, config=config), pending=list(pending))
    return plan(facts(system, H100), look=look, options=options)


def test_docker_gets_the_runtime_and_cdi_in_a_file_that_it_can_check():
    result = docker_plan()
    assert json.loads(content(result, "/etc/docker/daemon.json")) == {
        "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}},
        "features": {"cdi": True},
    }
    (file,) = [file for file in result["files"] if file["path"] == "/etc/docker/daemon.json"]
    assert file["validate"] == "dockerd --validate --config-file=%s"
    assert result["apply"] == ["docker"]
    assert {"path": "/etc/docker"} in result["directories"]


def test_what_is_in_dockers_file_stays_with_its_owner():
    mine = {"log-driver": "journald", "runtimes": {"crun": {"path": "/usr/bin/crun"}}, "features": {"buildkit": True}}
    look = looked(**runtime("docker", "28.3.3", config=json.dumps(mine), mode="0600", owner=0, group=27))
    result = plan(facts("debian12", H100), look=look)
    merged = json.loads(content(result, "/etc/docker/daemon.json"))
    assert merged["log-driver"] == "journald"
    assert set(merged["runtimes"]) == {"crun", "nvidia"}
    assert merged["features"] == {"buildkit": True, "cdi": True}
    file = next(file for file in result["files"] if file["path"] == "/etc/docker/daemon.json")
    assert (file["mode"], file["owner"], file["group"]) == ("0600", "0", "27")


def test_a_complete_file_is_not_touched_whatever_its_form():
    text = '{"features":{"cdi":true},"runtimes":{"nvidia":{"path":"/opt/nvidia-container-runtime"}}}'
    result = docker_plan(config=text)
    assert "/etc/docker/daemon.json" not in [file["path"] for file in result["files"]]
    assert result["apply"] == []
    # A run that was killed between the file and the restart.
    assert docker_plan(config=text, pending=["docker"])["apply"] == ["docker"]


def test_cdi_that_a_person_switched_off_stays_off_and_is_said():
    result = docker_plan(config='{"features": {"cdi": false}}')
    assert json.loads(content(result, "/etc/docker/daemon.json"))["features"] == {"cdi": False}
    assert any("switches CDI off" in note for note in result["notes"])


def test_docker_before_25_knows_no_cdi():
    old = docker_plan("20.10.24+dfsg1")
    assert "features" not in json.loads(content(old, "/etc/docker/daemon.json"))
    (file,) = [file for file in old["files"] if file["path"] == "/etc/docker/daemon.json"]
    # It cannot check a file either.
    assert "validate" not in file
    assert any("knows no CDI" in note for note in old["notes"])
    assert "features" in json.loads(content(docker_plan("25.0.0"), "/etc/docker/daemon.json"))


@pytest.mark.parametrize("text", ["{", "{,}", "[]", "3", '{"runtimes": []}', '{"features": "cdi"}', "{'a': 1}"])
def test_a_file_that_docker_could_not_read_is_refused_and_not_written(text):
    result = docker_plan(config=text)
    assert "/etc/docker/daemon.json" in result["refused"][0]
    assert "gpu_driver_container_runtimes" in result["refused"][0]
    assert "/etc/docker/daemon.json" not in [file["path"] for file in result["files"]]
    # Who leaves docker out needs no such file.
    assert docker_plan(config=text, container_runtimes=["podman"])["refused"] == []


def test_a_file_that_cannot_be_read_is_refused():
    look = looked(**runtime("docker", "28.3.3", error="/etc/docker/daemon.json is not text in UTF-8"))
    assert "UTF-8" in plan(facts("debian12", H100), look=look)["refused"][0]


def test_an_empty_file_counts_as_none():
    assert json.loads(content(docker_plan(config=" \n"), "/etc/docker/daemon.json"))["features"] == {"cdi": True}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("docker", "26.0.2", "26.1.5+dfsg1-9"), ("podman", "4.3.1", "5.1.0"), ("containerd", "1.7.15", "1.7.16")],
)
def test_older_runtimes_get_a_cdi_specification_without_groups_of_devices(name, old, new):
    path = "/etc/systemd/system/nvidia-cdi-refresh.service.d/mlops-onprem.conf"
    result = plan(facts("debian12", H100), look=looked(**runtime(name, old)))
    text = content(result, path)
    assert "Environment=NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS=no-additional-gids-for-device-nodes" in text
    assert "cdi" in result["apply"]
    again = plan(facts("debian12", H100), look=looked(**runtime(name, old), texts={path: text}))
    assert "cdi" not in again["apply"]
    result = plan(facts("debian12", H100), look=looked(**runtime(name, new)))
    assert path not in [file["path"] for file in result["files"]]


def test_a_toolkit_before_1_18_has_no_refresh_of_its_own():
    result = plan(facts("debian12", H100), container_toolkit_version="1.17.8")
    assert not [unit for unit in [*result["units"], *result["enabled"]] if "cdi" in unit]
    assert any("1.18" in note for note in result["notes"])


def test_containerd_beside_docker_is_dockers():
    both = {**runtime("docker", "28.3.3"), **runtime("containerd", "1.7.27")}
    assert plan(facts("debian12", H100), look=looked(**both))["containerd"] is False
    both["containerd"]["kubelet"] = True
    result = plan(facts("debian12", H100), look=looked(**both))
    assert result["containerd"] is True
    assert result["apply"] == ["docker", "containerd"]


def test_containerd_alone_is_set_up_unless_its_cri_is_off_or_it_is_done():
    def with_containerd(**state):
        look = looked(**runtime("containerd", "1.7.27", **state))
        return plan(facts("debian12", H100), look=look)

    assert with_containerd()["apply"] == ["containerd"]
    assert with_containerd(cri=False)["apply"] == []
    assert with_containerd(configured=True)["apply"] == []
    # Its file is another one than that which the drop-in was made from.
    assert with_containerd(configured=True, configured_for="1" * 64)["containerd"] is True


def test_runtimes_by_name():
    missing = docker_plan(container_runtimes=["docker", "podman"])
    assert any("podman is not on the host yet" in note for note in missing["notes"])
    for wrong in ("docker", ["docker", "crio"], {"docker": True}):
        assert "gpu_driver_container_runtimes" in docker_plan(container_runtimes=wrong)["refused"][0]


def test_containers_keep_their_gpus_when_systemd_reads_its_units_again():
    """Without links in /dev/char, systemd cannot resolve the devices of a container any more."""
    result = plan(facts("debian12", H100), look=looked(unlinked=True))
    assert "create-dev-char-symlinks --create-all" in content(result, "/etc/udev/rules.d/71-mlops-onprem-gpu.rules")
    assert "links" in result["apply"]
    assert "links" not in plan(facts("debian12", H100), loaded=None, look=looked(unlinked=True))["apply"]


def test_daemons_of_the_driver_are_no_work_and_all_else_is():
    found = [("nvidia-persiste", True), ("python3", False), ("python3", False), ("nv-hostengine", True)]
    processes = [{"pid": number, "command": name, "daemon": daemon} for number, (name, daemon) in enumerate(found)]
    assert plan(facts("debian12", H100), processes=processes)["busy"] == ["python3"]


# MIG.


def mig(
    card=H100, layout="all-1g.10gb", config=None, system="debian12", cards=2, look=None, loaded=VERSION, **selection
):
    selection = {"parts": {"mig_parted": True}, "mig_parted_sha256": SHA, **selection}
    options = {"mig": layout, "mig_config": config or {}}
    return plan(facts(system, *[card] * cards), options=options, look=look, loaded=loaded, **selection)


def test_a_layout_has_a_file_of_its_own_and_survives_a_reboot():
    """The package's config.yaml is made anew at every boot, and override.conf whenever a layout is applied by hand."""
    result = mig()
    data = json.loads(content(result, "/etc/mlops-onprem/gpu/mig.yaml"))
    assert data == {
        "version": "v1",
        "mig-configs": {
            "all-1g.10gb": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}]
        },
    }  # fmt: skip
    folder = "/etc/systemd/system/nvidia-mig-manager.service.d"
    text = content(result, f"{folder}/zz-mlops-onprem.conf")
    assert max(["zz-mlops-onprem.conf", "override.conf"]) == "zz-mlops-onprem.conf"
    assert 'Environment="MIG_PARTED_CONFIG_FILE=/etc/mlops-onprem/gpu/mig.yaml"' in text
    assert 'Environment="MIG_PARTED_SELECTED_CONFIG=all-1g.10gb"' in text
    # At boot only: it may reboot the host by itself where a GPU cannot be reset.
    assert "nvidia-mig-manager.service" in result["enabled"]
    assert "nvidia-mig-manager.service" not in result["units"]


def test_the_driver_is_asked_only_where_it_is_loaded():
    assert mig()["mig"]["now"] is True
    assert mig(loaded=None)["mig"]["now"] is False
    # In check mode, its program may not be there yet.
    assert mig(look=looked(mig_parted=False))["mig"]["now"] is False


@pytest.mark.parametrize(
    ("card", "layout", "count"),
    [
        ("10de:20b7", "all-1g.6gb", 4),
        ("10de:20b0", "all-1g.10gb", 4),
        ("10de:20b0", "all-1g.5gb", 7),
        ("10de:20b5", "all-1g.10gb", 7),
        ("10de:2330", "all-1g.20gb", 4),
        ("10de:2321", "all-3g.47gb", 2),
        ("10de:2342", "all-7g.96gb", 1),
        ("10de:2335", "all-2g.35gb", 3),
        ("10de:2901", "all-1g.23gb", 7),
        ("10de:2bb5", "all-1g.24gb", 4),
    ],
)
def test_profiles_and_how_many_of_each_a_gpu_holds(card, layout, count):
    system, machine = ("ubuntu24", "aarch64") if card == "10de:2342" else ("ubuntu24", "x86_64")
    host = facts(system, card, machine=machine)
    selection = {"parts": {"mig_parted": True}, "mig_parted_sha256": SHA}
    result = plan(host, options={"mig": layout}, **selection)
    assert result["refused"] == []
    (entry,) = json.loads(result["mig"]["config"])["mig-configs"][layout]
    assert entry["mig-devices"] == {layout[4:]: count}


def test_a_balanced_layout():
    (entry,) = json.loads(mig(layout="all-balanced")["mig"]["config"])["mig-configs"]["all-balanced"]
    assert entry["mig-devices"] == {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}


def test_off_and_on_without_instances():
    off = json.loads(mig(layout="all-disabled")["mig"]["config"])["mig-configs"]["all-disabled"]
    assert off == [{"devices": "all", "mig-enabled": False}]
    on = json.loads(mig(layout="all-enabled")["mig"]["config"])["mig-configs"]["all-enabled"]
    assert on == [{"devices": "all", "mig-enabled": True, "mig-devices": {}}]


def test_a_layout_of_other_gpus_is_refused_with_the_nearest():
    refused = mig(card="10de:20b7", layout="all-1g.10gb")["refused"][0]
    assert "'all-1g.10gb' is no layout of this host's GPUs" in refused
    assert "all-1g.6gb" in refused or "all-2g.12gb" in refused
    assert "gpu_driver_mig_config" in refused


def test_two_models_in_one_host_have_no_layout_by_profile():
    host = facts("debian12", H100, "10de:20b7")
    selection = {"parts": {"mig_parted": True}, "mig_parted_sha256": SHA}
    assert plan(host, options={"mig": "all-1g.10gb"}, **selection)["refused"]
    assert not plan(host, options={"mig": "all-disabled"}, **selection)["refused"]


SITE = {
    "half": [
        {"devices": [0], "mig-enabled": True, "mig-devices": {"3g.40gb": 2}},
        {"devices": [1], "mig-enabled": False},
    ]
}


def test_a_layout_of_the_site():
    result = mig(layout="half", config=SITE)
    assert json.loads(result["mig"]["config"])["mig-configs"] == SITE
    # Both: the site's, and one that needs no file of it.
    both = json.loads(mig(layout="all-7g.80gb", config=SITE)["mig"]["config"])["mig-configs"]
    assert set(both) == {"half", "all-7g.80gb"}


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ([1], "not a dictionary of layouts"),
        ({"a b": []}, "'a b'"),
        ({"x": []}, "not a list of entries"),
        ({"x": [3]}, "entry 1, is 3"),
        ({"x": [{"devices": "all", "mig-enable": True}]}, "did you mean 'mig-enabled'?"),
        ({"x": [{"devices": [0, 2], "mig-enabled": True}]}, "the host has 2 GPUs"),
        ({"x": [{"devices": ["0000:01:00.0"], "mig-enabled": True}]}, "no PCI addresses"),
        ({"x": [{"devices": "all", "mig-enabled": "yes"}]}, "true or false"),
        ({"x": [{"devices": "all", "mig-enabled": True, "mig-devices": ["1g.10gb"]}]}, "how many of each"),
        ({"x": [{"devices": "all", "mig-enabled": True, "mig-devices": {"10gb": 1}}]}, "'10gb'"),
        ({"x": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": True}}]}, "True"),
        ({"x": [{"devices": "all", "mig-enabled": False, "mig-devices": {"1g.10gb": 1}}]}, "mig-enabled is false"),
    ],
)
def test_a_wrong_layout_of_the_site_is_refused_by_place(config, word):
    assert word in mig(layout="x", config=config)["refused"][0]


def test_gpus_without_mig():
    refused = mig(card=T4)["refused"][0]
    assert "have no MIG (10de:1eb8)" in refused
    for card in ("10de:26b9", "10de:2235"):
        assert "have no MIG" in mig(card=card)["refused"][0]
    # For a whole fleet: off is what they are.
    off = mig(card=T4, layout="all-disabled")
    assert (off["refused"], off["mig"]) == ([], None)


def test_mig_without_its_program():
    assert "mig_parted: false" in mig(parts={"mig_parted": False})["refused"][0]


def test_without_a_layout_mig_is_left_as_it_is():
    result = plan(facts("debian12", H100))
    assert result["mig"] is None
    assert not [file for file in result["files"] if "mig" in file["path"]]


# AMD.


def amd(users=(), look=None, system="ubuntu24", **selection):
    host = facts(system, AMD["Instinct MI300X"])
    chosen = {"version": None, **selection}
    return plan(host, options={"users": list(users)}, look=look, **chosen)


def test_users_of_amds_devices_are_in_render_and_video():
    assert amd(["ann", "bob"], looked(groups={"render": ["ann"], "video": None}))["groups"] == {
        "render": ["bob"],
        "video": ["ann", "bob"],
    }
    assert amd(["ann"], looked(groups={"render": ["ann"], "video": ["ann"]}))["groups"] == {}


def test_a_user_that_is_not_there_is_refused():
    result = amd(["ann", "zoe"], looked(missing_users=["zoe"]))
    assert "zoe" in result["refused"][0]
    assert "ann" not in result["refused"][0]


def test_nvidias_devices_are_for_all():
    assert plan(facts("debian12", H100), options={"users": ["ann"]})["groups"] == {}


def test_libraries_of_the_old_rocm_have_to_be_found():
    path = "/etc/ld.so.conf.d/mlops-onprem-rocm.conf"
    old = amd(rocm_version="7.0.1")
    assert "/opt/rocm/lib\n" in content(old, path)
    assert old["apply"] == ["ldconfig"]
    assert path not in [file["path"] for file in amd()["files"]]


def test_amds_hosts_have_no_daemons_of_nvidia_and_no_mig():
    result = amd()
    assert [result[key] for key in ("units", "enabled", "files")] == [[], [], []]
    host = facts("ubuntu24", AMD["Instinct MI300X"])
    assert "have no MIG" in plan(host, options={"mig": "all-enabled"}, version=None)["refused"][0]


# Taking it back.


def own(result):
    """Files that are this role's alone."""
    foreign = ("/etc/docker/daemon.json", "/etc/nvidia-imex/nodes_config.cfg")
    return (
        {file["path"] for file in result["files"]}
        - {*foreign}
        - {file["path"] for file in result["files"] if "/restart-" in file["path"]}
    )


def test_every_file_that_is_written_can_be_taken_back():
    plans = [
        mig(look=looked(**runtime("podman", "4.3.1"))),
        plan(facts("ubuntu24", B200)),
        imex(["10.0.0.1"]),
        amd(rocm_version="7.0.1"),
    ]
    written = set().union(*(own(result) for result in plans))
    gone = {file["path"] for file in plans[0]["undo"]["files"] if file["content"] is None}
    assert written == gone


def test_only_units_with_a_file_of_this_role_are_stopped():
    look = looked(configured=["nvidia-dcgm.service"])
    assert plan(facts("debian12", H100), look=look)["undo"]["stopped"] == ["nvidia-dcgm.service"]


def test_dockers_file_is_taken_back_by_its_entry():
    text = content(docker_plan(config='{"debug": true}'), "/etc/docker/daemon.json")
    undo = docker_plan(config=text)["undo"]
    assert json.loads(content(undo, "/etc/docker/daemon.json")) == {"debug": True, "features": {"cdi": True}}
    assert undo["apply"] == ["docker"]
    assert docker_plan(config='{"debug": true}')["undo"]["apply"] == []


def test_what_takes_the_parts_back_needs_no_driver_that_was_chosen():
    assert parts({}, {}, {"parts": looked()})["undo"]["files"]


# The filter.


def test_the_filter_refuses_what_it_cannot_use():
    host = facts("debian12", H100)
    chosen = choose(host)
    for arguments, word in (
        (("x", host, {"parts": {}}), "selection is a str"),
        ((chosen, host, {}), "gpu_driver_info"),
        ((chosen, host, {"parts": looked()}, {"migs": 1}), "did you mean 'mig'?"),
    ):
        with pytest.raises(AnsibleFilterError, match="gpu_driver_parts") as error:
            parts(*arguments)
        assert word in str(error.value)


def test_parts_are_those_of_packages_and_downloads():
    chosen = choose(facts("debian12", H200, switches=4), parts={"mig_parted": True})
    assert parts_host.present(chosen) == [
        *("container_toolkit", "dcgm", "fabric_manager", "mig_parted", "nscq", "persistence"),
    ]

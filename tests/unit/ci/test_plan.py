"""Which slots a host gets, what each sees, and every reason to refuse."""

from __future__ import annotations

import itertools
import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.filter.ci_runner_plan import FilterModule, runner_plan
from ansible_collections.mlops.onprem.plugins.module_utils.ci import providers
from ansible_collections.mlops.onprem.plugins.module_utils.ci.plan import plan
from hypothesis import given
from hypothesis import strategies as st

from .machines import amd, cut, nvidia, options

UUIDS = [nvidia(number)["uuid"] for number in range(4)]
OTHER = {
    "github": {"scope": "org:acme", "executor": "shell", "api_token": "ghp_x", "version": "2.336.0"},
    "forgejo": {"scope": "org:acme"},
    "gitea": {"scope": "org:acme"},
    "buildbot": {"executor": "shell", "api_token": ""},
    "gitlab": {},
}


def made(gpus, **more):
    result = plan(options(**more), gpus)
    assert not result["refused"], result["refused"]
    return {slot["name"]: slot for slot in result["slots"]}


def refused(gpus, **more):
    return " | ".join(plan(options(**more), gpus)["refused"])


def test_a_slot_for_each_gpu():
    slots = made([nvidia(0), nvidia(1)])
    assert list(slots) == ["gpu0", "gpu1"]
    assert slots["gpu1"]["runner"] == "node1-gpu1"
    assert slots["gpu1"]["visible"] == [UUIDS[1]]
    assert slots["gpu1"]["concurrent"] == 1


def test_a_slot_for_each_mig_instance_and_for_each_gpu_that_is_whole():
    slots = made([nvidia(0), cut(1, 2)], slots="per_mig")
    assert list(slots) == ["gpu0", "gpu1-mig0", "gpu1-mig1"]
    assert slots["gpu1-mig1"]["visible"] == ["MIG-11"]
    assert slots["gpu1-mig1"]["devices"][0] == {
        "kind": "mig",
        "index": 1,
        "vendor": "nvidia",
        "uuid": "MIG-11",
        "pci_address": "0000:11:00.0",
    }


def test_a_list_takes_indexes_uuids_addresses_and_instances():
    wished = [
        {"name": "two", "gpus": [0, UUIDS[1]]},
        {"name": "third", "gpus": ["0000:12:00.0"], "labels": ["big"]},
        {"name": "slice", "gpus": ["MIG-30"]},
        {"name": "cpu", "gpus": [], "concurrent": 4},
    ]
    slots = made([nvidia(0), nvidia(1), nvidia(2), cut(3, 1)], slots=wished, labels=["gpu", "big"])
    assert slots["two"]["visible"] == UUIDS[:2]
    assert slots["third"]["labels"] == ["gpu", "big"], "a label is there once"
    assert slots["slice"]["visible"] == ["MIG-30"]
    assert slots["cpu"]["concurrent"] == 4


def test_what_each_slot_sees():
    wished = [{"name": "one", "gpus": [0]}, {"name": "two", "gpus": [1, 2]}, {"name": "cpu"}]
    slots = made([nvidia(0), nvidia(1), nvidia(2)], slots=wished)
    assert slots["one"]["gitlab_gpus"] == f"device={UUIDS[0]}"
    # One field of the CSV line that docker's --gpus is.
    assert slots["two"]["gitlab_gpus"] == f'"device={UUIDS[1]},{UUIDS[2]}"'
    assert slots["two"]["container_options"] == f"--device nvidia.com/gpu={UUIDS[1]} --device nvidia.com/gpu={UUIDS[2]}"
    assert slots["two"]["environment"]["CUDA_VISIBLE_DEVICES"] == f"{UUIDS[1]},{UUIDS[2]}"
    assert slots["one"]["device_allow"] == [
        "/dev/nvidiactl rw",
        "/dev/nvidia-uvm rw",
        "/dev/nvidia-uvm-tools rw",
        "char-nvidia-caps rw",
        "/dev/nvidia0 rw",
    ]
    cpu = slots["cpu"]
    assert (cpu["gitlab_gpus"], cpu["container_options"], cpu["device_allow"]) == ("", "", [])
    assert (cpu["environment"]["CUDA_VISIBLE_DEVICES"], cpu["environment"]["NVIDIA_VISIBLE_DEVICES"]) == ("", "void")


def test_an_engine_without_cdi():
    slots = made([nvidia(0), nvidia(1)], slots=[{"name": "a", "gpus": [0, 1]}], gpu_access="gpus")
    assert slots["a"]["container_options"] == f"--gpus '\"device={UUIDS[0]},{UUIDS[1]}\"'"


def test_gpus_of_amd():
    slots = made([amd(0), amd(1)])
    assert slots["gpu1"]["environment"]["ROCR_VISIBLE_DEVICES"] == "GPU-00000000000000a1"
    assert slots["gpu1"]["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert slots["gpu1"]["container_options"] == "--device amd.com/gpu=GPU-00000000000000a1"
    assert slots["gpu1"]["device_allow"] == ["/dev/kfd rw", "/dev/dri/renderD129 rw"]


def test_two_vendors_in_one_host_are_counted_apart():
    slots = made([nvidia(0), amd(0)], slots="per_gpu")
    assert list(slots) == ["gpu0", "amd0"]
    assert "GPUs of two vendors" in refused([nvidia(0), amd(0)], slots=[{"name": "both", "gpus": [0, "amd0"]}])


def test_the_vendors_own_index_wins_over_the_place():
    gpus = [{**nvidia(0), "index": 5}, {**nvidia(1), "index": 6}]
    assert list(made(gpus)) == ["gpu5", "gpu6"]


def test_two_slots_on_one_gpu():
    wished = [{"name": "a", "gpus": [0]}, {"name": "b", "gpus": [UUIDS[0]]}]
    assert refused([nvidia(0)], slots=wished) == (
        "the slot 'b': GPU 0 at 0000:10:00.0 can be in one slot only, and the slot 'a' has it, too; two jobs on one GPU take each other's memory"
    )
    assert "it names it twice" in refused([nvidia(0)], slots=[{"name": "a", "gpus": [0, "0000:10:00.0"]}])
    assert "the slot 'a' has it, too" in refused(
        [cut(0, 2)], slots=[{"name": "a", "gpus": ["MIG-00"]}, {"name": "b", "gpus": ["MIG-00"]}]
    )


def test_a_gpu_that_is_not_there():
    assert refused([nvidia(0)], slots=[{"name": "a", "gpus": [7]}]) == (
        f"the slot 'a': there is no GPU '7' on this host; it has 0, {UUIDS[0]}"
    )
    assert f"did you mean {UUIDS[0]}" in refused([nvidia(0)], slots=[{"name": "a", "gpus": [UUIDS[0][:-1]]}])
    assert refused([], slots=[{"name": "a", "gpus": [0]}]) == "the slot 'a': there is no GPU '0': this host has none"
    assert "[{name: cpu, gpus: []}]" in refused([], slots="per_gpu")


def test_gpus_in_mig_mode():
    assert refused([cut(0, 2)], slots=[{"name": "a", "gpus": [0]}]) == (
        "the slot 'a': GPU 0 is in MIG mode, and is used by its instances only (MIG-00, MIG-01)"
    )
    assert "GPU 0 is cut into 2 MIG instances; use per_mig" in refused([cut(0, 2)])
    assert "in MIG mode without any instance" in refused([cut(0, 0)], slots="per_mig")
    assert "a CUDA program sees one of them only" in refused(
        [cut(0, 2)], slots=[{"name": "a", "gpus": ["MIG-00", "MIG-01"]}]
    )


def test_a_gpu_without_a_driver_or_of_a_vendor_that_nobody_knows():
    assert "nvidia-smi -L answers" in refused([nvidia(0, uuid=None)])
    assert "held to a GPU of intel" in refused([nvidia(0, vendor="intel")])


@pytest.mark.parametrize(
    ("slot", "why"),
    [
        ("a", "must be a mapping with a name"),
        ({"gpus": [0]}, "must be a mapping with a name"),
        ({"name": "GPU 0"}, "the name 'GPU 0' cannot be used"),
        ({"name": "a" * 25}, "at most 24"),
        ({"name": "-a"}, "cannot be used"),
        ({"name": "a", "gpu": [0]}, "has the key 'gpu'; there are name, gpus, labels, concurrent, token"),
        ({"name": "a", "gpus": 0, "labels": "x"}, "labels must be a list"),
        ({"name": "a", "concurrent": 0}, "from 1 to 64"),
        ({"name": "a", "concurrent": True}, "from 1 to 64"),
        ({"name": "a", "gpus": [0], "concurrent": 2}, "a slot with a GPU runs one job at a time"),
    ],
)
def test_slots_of_another_shape(slot, why):
    assert why in refused([nvidia(0)], slots=[slot])


def test_names_are_for_one_slot_each():
    assert "there is a slot 'a' already" in refused([], slots=[{"name": "a"}, {"name": "a"}])
    assert "ci_runner_slots is empty" in refused([], slots=[])
    assert "ci_runner_slots is 'all'; use per_gpu" in refused([], slots="all")


@pytest.mark.parametrize(
    ("provider", "good", "bad"),
    [
        ("gitlab", ["gpu", "two words", "größe", "a/b:c"], ["a,b", " a", "a ", "", "a\nb"]),
        ("github", ["gpu", "cuda_12.4"], ["a,b", "two words", "a/b", "", "ä"]),
        (
            "forgejo",
            ["gpu", "gpu:host", "gpu:docker://debian:12", "a:lxc://debian:bookworm"],
            ["a b", "a,b", "a:vm", "a:docker://x y"],
        ),
        ("gitea", ["gpu", "gpu:host", "gpu:docker://node:20"], ["a b", "a,b", ":host"]),
        ("buildbot", ["gpu"], ["a b", "a:b"]),
    ],
)
def test_labels(provider, good, bad):
    case = {**OTHER[provider], "provider": provider}
    made([], slots=[{"name": "cpu", "labels": good}], **case)
    for label in bad:
        said = refused([], slots=[{"name": "cpu", "labels": [label]}], **case)
        assert f"the label '{label}' cannot be used with {providers.RULES[provider]['title']}" in said
    assert "characters" in refused([], slots=[{"name": "cpu", "labels": ["x" * 300]}], **case)


@pytest.mark.parametrize("provider", providers.NAMES)
def test_names_too_long(provider):
    case = {**OTHER[provider], "provider": provider, "labels": ["x"]}
    limit = providers.RULES[provider]["name_length"]
    made([], slots=[{"name": "cpu"}], **{**case, "name": "n" * (limit - 4)})
    said = refused([], slots=[{"name": "cpu"}], **{**case, "name": "n" * (limit - 3)})
    assert f"which has {limit + 1} characters" in said
    assert "Give a shorter ci_runner_name" in said


def test_a_slot_that_no_job_would_find():
    for provider in ("forgejo", "gitea"):
        assert "no job would ever find it" in refused([], slots=[{"name": "cpu"}], provider=provider, scope="org:a")
    assert "ci_runner_run_untagged: true" in refused([], slots=[{"name": "cpu"}], run_untagged=False)
    made([], slots=[{"name": "cpu"}], run_untagged=False, labels=["gpu"])


def test_limits_are_data():
    assert "takes 5" in refused([], slots=[{"name": "cpu"}], limits={"name_length": 5})
    made(
        [],
        provider="github",
        slots=[{"name": "cpu", "labels": ["a b"]}],
        **OTHER["github"],
        limits={"label": "[a-z ]+"},
    )


def test_tokens_of_the_wrong_kind_are_told_without_the_token():
    registration = "GR1348941canarycanarycanary"
    for case in (
        {"api_token": registration},
        {"api_token": "", "slots": [{"name": "cpu", "token": registration}]},
    ):
        said = refused([], **{"slots": [{"name": "cpu"}], **case})
        assert "a registration token, which GitLab removes in 20.0" in said
        assert "POST /api/v4/user/runners" in said
        assert "begins with glrt-" in said
        assert "canary" not in said
    assert "the API wants an access token (glpat-)" in refused([], slots=[{"name": "cpu"}], api_token="glrt-canary")
    case = {**OTHER["github"], "api_token": "A" + "B" * 28, "provider": "github"}
    assert "lasts for an hour" in refused([], slots=[{"name": "cpu"}], **case)
    assert "space or a line break" in refused([], slots=[{"name": "cpu"}], api_token="glpat-canary\n")


def test_a_given_token_of_a_runner_needs_no_api():
    slots = made([], slots=[{"name": "cpu", "token": "glrt-canary"}], api_token="")
    assert slots["cpu"]["token"] == "glrt-canary"
    said = refused([], slots=[{"name": "cpu"}, {"name": "b", "token": "glrt-x"}], api_token="")
    assert said == "ci_runner_api_token is not given, and GitLab is asked with it for the runners of cpu"
    assert "40 hexadecimal digits" in refused(
        [], provider="forgejo", scope="org:a", slots=[{"name": "cpu", "token": "x"}]
    )
    assert "have no token that could be given" in refused(
        [], provider="gitea", scope="org:a", slots=[{"name": "cpu", "token": "x"}]
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"provider": "jenkins"}, "use one of gitlab, github, forgejo, gitea, buildbot"),
        ({"url": "git.example.com"}, "such as https://git.example.com"),
        ({"url": "https://user@git.example.com"}, "such as https://git.example.com"),
        ({"url": "http://git.example.com"}, "in the clear; use https"),
        ({"scope": "org:acme"}, "with GitLab it is instance, group:NUMBER or project:NUMBER"),
        ({"executor": "kubernetes"}, "it is docker or podman or shell"),
        ({"executor": "podman"}, "GitLab Runner ignores gpus under Podman"),
        ({"name": "a b"}, "ci_runner_name is 'a b'"),
    ],
)
def test_options_that_cannot_work(changed, why):
    assert why in refused([nvidia(0)], **changed)


def test_on_this_computer_tls_is_not_needed():
    made([], url="http://127.0.0.1:8080", slots=[{"name": "cpu"}])


@pytest.mark.parametrize(
    ("version", "facts", "today", "refusal", "alarm"),
    [
        ("2.328.9", {}, "2026-11-30", "registers no runner before 2.329.0", ""),
        ("2.336.0", {}, "2026-11-30", "", ""),
        ("2.336.0", {"released": "2026-11-20"}, "2026-11-30", "", ""),
        ("2.336.0", {"released": "2026-11-05"}, "2026-11-30", "", "in 5 days"),
        (
            "2.336.0",
            {"released": "2026-10-05"},
            "2026-11-30",
            "",
            "may give the runner 2.336.0 no more jobs since 2026-11-04",
        ),
        (
            "2.336.0",
            {"newer": {"version": "2.337.0", "released": "2026-10-01"}},
            "2026-11-30",
            "",
            "2.337.0 came out on 2026-10-01",
        ),
        ("2.337.0", {"newer": {"version": "2.337.0", "released": "2026-10-01"}}, "2026-11-30", "", ""),
        # Before the rule is enforced, nothing is late.
        ("2.336.0", {"released": "2026-01-01"}, "2026-09-01", "", ""),
        ("2.336.0", {"released": "2026-10-05", "days": 90}, "2026-11-30", "", ""),
        ("2.330.0", {"minimum": "2.331.0"}, "2026-11-30", "before 2.331.0", ""),
    ],
)
def test_versions_that_github_gives_no_jobs(version, facts, today, refusal, alarm):
    case = {**OTHER["github"], "provider": "github", "version": version, "version_facts": facts, "today": today}
    result = plan(options(**{**case, "slots": [{"name": "cpu"}]}), [])
    assert (refusal in " ".join(result["refused"])) if refusal else not result["refused"]
    assert (alarm in " ".join(result["alarms"])) if alarm else not result["alarms"]


def test_github_runs_one_job_a_runner():
    case = {**OTHER["github"], "provider": "github"}
    assert "runs one job at a time" in refused([], slots=[{"name": "cpu", "concurrent": 2}], **case)


def test_slots_that_are_wanted_no_more():
    found = {"slots": ["gpu0", "gpu9", "old"]}
    assert plan(options(), [nvidia(0)], found)["leftover"] == ["gpu9", "old"]


def test_the_filter():
    assert FilterModule().filters() == {"ci_runner_plan": runner_plan}
    assert runner_plan(options(), [nvidia(0)])["slots"]
    with pytest.raises(AnsibleFilterError, match="mapping of options"):
        runner_plan("x", [])
    with pytest.raises(AnsibleFilterError, match="'provider' is missing"):
        runner_plan({}, [])


@given(
    st.lists(st.sampled_from(["whole", "cut1", "cut3", "amd"]), max_size=8),
    st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=6),
)
def test_no_two_slots_ever_share_a_device(kinds, wished):
    gpus = [
        amd(number) if kind == "amd" else nvidia(number) if kind == "whole" else cut(number, int(kind[3]))
        for number, kind in enumerate(kinds)
    ]
    for slots in ("per_gpu", "per_mig", [{"name": f"s{n}", "gpus": list(g)} for n, g in enumerate(wished)]):
        result = plan(options(slots=slots), gpus)
        if result["refused"]:
            assert all(re.fullmatch(r"[^\n]{20,500}", sentence) for sentence in result["refused"])
            continue
        seen = list(itertools.chain.from_iterable(slot["visible"] for slot in result["slots"]))
        assert len(seen) == len(set(seen))
        assert all(slot["concurrent"] == 1 for slot in result["slots"] if slot["visible"])

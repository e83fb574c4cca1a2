"""The proof of a GPU host: 7 of 8 fails and names the missing one, and so does each other sign of a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import proof_check
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_check import Host, Wanted, check
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import failures, overall, row
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken, Tree

from .answers import address, diagnosis, gpu_xml, on_disk, p2p_text, smi_xml, write

KERNEL = "6.1.0-40-amd64"
FACTS = "/etc/ansible/facts.d/mlops_gpu.fact"
LOADED = {
    "/sys/module/nvidia/version": "580.178.04",
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.178.04",
}


def before(count: int, switches: int = 0, **other: Any) -> dict[str, Any]:
    """The facts of a server before it had a driver."""
    card = {
        "vendor": "nvidia",
        "pci_id": "10de:2330",
        "name": "H100 SXM5 80GB",
        "architecture": "Hopper",
        "memory_bytes": 80 * 2**30,
        "memory_source": "pci_id",
        "memory_class_gb": 80,
        "unified_memory": False,
        "numa_node": 0,
        "link": {"width": 16, "max_width": 16, "path_width": 16},
        **other,
    }
    cards = [{**card, "pci_address": address(number)} for number in range(count)]
    return {"accelerators": cards, "fabric": {"nvswitches": switches}, "system": {"kernel": KERNEL}}


class Machine:
    """A host that answers as it is told; `asked` keeps the questions, `slept` the seconds waited."""

    def __init__(self, root: Path, answers: Any, log: str | None = "", disk: Any = "", p2p: Any = None) -> None:
        self.answers = answers
        self.p2p = p2p
        self.asked: list[tuple[str, ...]] = []
        self.slept = 0.0
        tree = Tree(str(root))
        self.host = Host(
            tree=tree,
            files=tree,
            ask=self.ask,
            modules=lambda: {
                release: on_disk() if disk == "" else disk for release in (KERNEL, "6.1.0-41-amd64") if disk is not None
            },
            kernel_log=lambda: log,
            clock=lambda: self.slept,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def ask(self, arguments: tuple[str, ...]) -> bytes:
        self.asked.append(arguments)
        answer = self.p2p if arguments[0] == "topo" else self.answers
        if callable(answer):
            answer = answer(arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def prove(tmp_path):
    """A function that proves a host with `count` cards on its bus, of which `gpus` answer."""

    def run(gpus: list[str] | Any, count: int | None = None, files: dict[str, str] | None = None, **other: Any):
        write(tmp_path, {**LOADED, **(files or {})})
        told = smi_xml(*gpus) if isinstance(gpus, list) else gpus
        count = len(gpus) if count is None else count
        machine = Machine(
            tmp_path,
            told,
            log=other.pop("log", ""),
            disk=other.pop("disk", ""),
            p2p=other.pop("p2p", p2p_text(len(gpus) if isinstance(gpus, list) else count)),
        )
        hardware = other.pop("hardware", None) or before(count, switches=other.pop("switches", 0))
        defaults = {
            "branch": 580,
            "flavour": "open",
            "kernel_releases": [KERNEL],
            "running": KERNEL,
            "facts_file": FACTS,
        }
        result = check(Wanted(**{"hardware": hardware, "vendor": "nvidia", **defaults, **other}), machine.host)
        return {**result, "machine": machine}

    return run


def of(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [entry for entry in result["rows"] if entry["check"] == name]


def bad(result: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(entry["check"], entry["gpu"]) for entry in result["rows"] if entry["verdict"] == "fail"]


EIGHT = [gpu_xml(number) for number in range(8)]


def test_eight_of_eight_pass(prove):
    result = prove(EIGHT)
    assert result["verdict"] == "pass", result["lines"]
    assert not [entry for entry in result["rows"] if entry["verdict"] not in ("pass", "skipped")]
    assert "pass     count: 8 of 8 GPUs answer" in result["lines"]
    assert "pass     memory: 8 GPUs: 80 GB" in result["lines"]


def test_seven_of_eight_fail_and_the_missing_one_is_named(prove):
    result = prove([*EIGHT[:3], *EIGHT[4:]], count=8)
    assert result["verdict"] == "fail"
    assert bad(result) == [("count", None)]
    assert f"7 of 8 GPUs answer, missing: {address(3)}" in failures(result["rows"])
    assert "cold start" in failures(result["rows"])
    assert result["facts"] is None


def test_a_lost_card_that_makes_nvidia_smi_fail_does_not_hide_the_others(prove):
    def answer(arguments):
        if "-i" not in arguments:
            return Broken("nvidia-smi failed with 15: Unable to determine the device handle for GPU: GPU is lost")
        number = int(arguments[-1][5:7], 16) - 0x10
        return Broken("lost") if number == 3 else smi_xml(EIGHT[number])

    result = prove(answer, count=8, p2p=p2p_text(7))
    assert bad(result) == [("count", None)]
    assert f"missing: {address(3)}" in failures(result["rows"])


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("nvidia-smi failed with 18: Failed to initialize NVML: Driver/library version mismatch", "reboot the host"),
        (
            "nvidia-smi failed with 9: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
            "modinfo nvidia",
        ),
        ("nvidia-smi failed with 6: No devices were found", "modinfo nvidia"),
        ("nvidia-smi is not installed", "nvidia-smi"),
        ("nvidia-smi gave no answer in 120 seconds", "reboot the host"),
        ("nvidia-smi failed with 255: something new", "dmesg"),
    ],
)
def test_a_driver_that_does_not_answer_says_why_and_what_to_do(prove, reason, remedy):
    result = prove(Broken(reason), count=2)
    assert result["verdict"] == "fail"
    text = failures(result["rows"])
    assert reason in text
    assert "0 of 2 GPUs answer" in text
    assert remedy in text


@pytest.mark.parametrize(
    ("other", "name", "verdict", "words"),
    [
        ({"device": "2331"}, "model", "fail", "10de:2330"),
        ({"memory": "40960 MiB"}, "memory", "fail", "80 GB"),
        ({"memory": "N/A"}, "memory", "unknown", "does not tell"),
        ({"width": "8x"}, "link", "fail", "8 lanes"),
        ({"width": "8x", "virtualization": "Pass-Through"}, "link", "warn", "not told"),
        ({"width": "8x", "max_width": "8x"}, "link", "warn", "its slot has not"),
        ({"width": "N/A", "max_width": "N/A"}, "link", "pass", "16 lanes"),
        ({"volatile": 2}, "ecc", "fail", "2 uncorrectable"),
        ({"aggregate": 3}, "ecc", "warn", "3 uncorrectable"),
        ({"pending": "Yes"}, "ecc", "fail", "waits for a reset"),
        ({"failure": "Yes"}, "ecc", "fail", "could not be replaced"),
        ({"ecc": "Disabled", "ecc_pending": "Disabled"}, "ecc", "warn", "ECC is off"),
        ({"ecc_pending": "Disabled"}, "ecc", "warn", "next reset"),
        ({"ecc": "N/A", "ecc_pending": "N/A"}, "ecc", "skipped", "no ECC"),
        ({"volatile": "N/A"}, "ecc", "unknown", "does not tell"),
        ({"recovery": "GPU Reset"}, "state", "fail", "asks for: GPU Reset"),
        ({"power_brake": "Active"}, "state", "warn", "slowed down"),
        ({"fabric": "In Progress"}, "fabric", "fail", "in progress"),
        ({"fabric": "Completed"}, "state", "pass", "no complaint"),
        ({"virtualization": "vGPU", "memory": "10240 MiB"}, "memory", "skipped", "share"),
    ],
)
def test_each_sign_of_a_fault(prove, other, name, verdict, words):
    result = prove([gpu_xml(0), gpu_xml(1, **other)])
    rows = [entry for entry in of(result, name) if entry["gpu"] == address(1)]
    assert [entry["verdict"] for entry in rows] == [verdict]
    assert words in f"{rows[0]['found']} {rows[0]['required']}"
    # The card beside it is none the worse.
    assert all(entry["verdict"] == "pass" for entry in result["rows"] if entry["gpu"] == address(0))
    assert (result["verdict"] == "fail") == (verdict == "fail")


def test_validation_none_looks_at_the_module_only(prove):
    result = prove(Broken("must not be asked"), count=2, validation="none", disk=on_disk("595.91.07"))
    assert ("module", None) in bad(result)
    assert result["machine"].asked == []
    result = prove(Broken("must not be asked"), count=2, validation="none")
    assert result["verdict"] == "pass"
    assert result["facts"] is None


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("4,812,9000,-;NVRM: Xid (PCI:0000:10:00): 79, pid='<unknown>', GPU has fallen off the bus.", "fail"),
        ("4,812,9000,-;NVRM: Xid (PCI:00000000:10:00): 48, pid=12, DBE", "fail"),
        ("NVRM: Xid (0000:10:00): 74, NVLink: fatal error", "fail"),
        ("NVRM: Xid (PCI:0000:10:00): 149, NETIR_LINK_EVT Nonfatal XC0 i0 Link 07", "warn"),
        ("NVRM: Xid (PCI:0000:10:00): 145, RLW_CTRL Fatal", "fail"),
        ("NVRM: Xid (PCI:0000:10:00): 31, pid=99, name=python, MMU Fault", "warn"),
        ("NVRM: Xid (PCI:0000:10:00): 13, Graphics Exception", "warn"),
        ("NVRM: Xid (PCI:0000:10:00): 63, Row Remapper: New row", "warn"),
        ("nvidia-nvswitch0: SXid (PCI:0000:10:00.0): 12028, Non-fatal, Link 32", "warn"),
        ("nvidia-nvswitch0: SXid (PCI:0000:10:00.0): 20034, Fatal, Link 30", "fail"),
        ("NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64", "pass"),
    ],
)
def test_xid_by_what_the_catalogue_says(prove, line, verdict):
    rows = of(prove(EIGHT[:2], log=f"6,1,1,-;booting\n{line}\n{line}"), "xid")
    assert [entry["verdict"] for entry in rows] == [verdict]
    if verdict != "pass":
        assert rows[0]["gpu"] == "0000:10:00"
        assert "(2 times)" in rows[0]["found"]


def test_a_log_that_cannot_be_read_is_no_pass(prove):
    result = prove(EIGHT[:2], log=None)
    assert result["verdict"] == "unknown"
    assert result["facts"] is not None, "all that could be seen is good"


@pytest.mark.parametrize(
    ("switches", "word", "verdict"), [(0, "OK", "pass"), (0, "CNS", "warn"), (4, "OK", "pass"), (4, "NS", "fail")]
)
def test_ways_between_the_cards_must_be_there_where_nvswitches_are(prove, switches, word, verdict):
    rows = of(prove(EIGHT[:3], switches=switches, p2p=p2p_text(3, word)), "p2p")
    assert [entry["verdict"] for entry in rows] == [verdict]
    if word != "OK":
        assert f"{address(0)}-{address(1)}" in rows[0]["found"]


def test_p2p_that_does_not_answer_or_tells_of_other_cards_is_unknown(prove):
    assert of(prove(EIGHT[:2], p2p=Broken("hangs")), "p2p")[0]["verdict"] == "unknown"
    assert of(prove(EIGHT[:2], p2p=p2p_text(3)), "p2p")[0]["verdict"] == "unknown"
    assert of(prove(EIGHT[:2], p2p=b"nonsense"), "p2p")[0]["verdict"] == "unknown"


def test_slices_do_not_reach_each_other(prove):
    assert of(prove([gpu_xml(0, mig="Enabled"), gpu_xml(1)]), "p2p")[0]["verdict"] == "skipped"


# The kernel module


@pytest.mark.parametrize(
    ("disk", "other", "words"),
    [
        (None, {}, f"{KERNEL} has no module nvidia"),
        (on_disk(license_name="NVIDIA"), {}, "should be the open one"),
        (on_disk(), {"flavour": "proprietary"}, "should be the proprietary one"),
        (on_disk("595.91.07"), {}, "should be of branch 580"),
        (on_disk("580.100.01"), {"version": "580.178.04-1"}, "should be version 580.178.04-1"),
    ],
)
def test_the_module_on_the_disk_is_the_one_that_was_chosen(prove, disk, other, words):
    result = prove(EIGHT[:1], disk=disk, **other)
    assert ("module", None) in bad(result)
    assert words in failures([entry for entry in result["rows"] if entry["check"] == "module"])


@pytest.mark.parametrize("version", ["580.178.04", "580.178.04-1", "580.178.04-1~deb12u1"])
def test_a_package_version_has_a_revision(prove, version):
    assert prove(EIGHT[:1], version=version)["verdict"] == "pass"


def test_every_kernel_that_was_named_has_the_module(prove):
    result = prove(EIGHT[:1], kernel_releases=[KERNEL, "6.1.0-41-amd64"])
    assert [entry["verdict"] for entry in of(result, "module")] == ["pass", "pass"]


OLD = {
    "/sys/module/nvidia/version": "575.57.08",
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  575.57.08",
}


def test_an_old_module_that_is_still_loaded_fails(prove):
    result = prove(EIGHT[:1], files=OLD)
    text = failures(result["rows"])
    assert "nvidia 575.57.08 (proprietary) is loaded (should be 580.178.04 (open), as installed)" in text
    assert "Reboot the host" in text


def test_a_reboot_that_is_left_to_people_is_pending_and_nobody_is_asked(prove):
    result = prove(EIGHT[:1], files=OLD, reboot_pending=True)
    assert result["verdict"] == "pending"
    assert result["machine"].asked == []
    assert result["facts"] is None


def test_another_driver_than_the_installed_one_answers(prove):
    result = prove(smi_xml(*EIGHT[:1], version="575.57.08"), count=1)
    assert ("driver", None) in bad(result)


# Hosts without all of it


def test_a_host_without_a_card_asks_nobody(prove):
    result = prove([], hardware={"accelerators": []})
    assert result["verdict"] == "pass"
    assert result["machine"].asked == []
    assert result["facts"] is None


def test_a_container_may_have_fewer_cards_than_its_host(prove):
    result = prove(EIGHT[:2], count=8, container=True, files={"/dev/nvidiactl": "x"})
    assert result["verdict"] == "pass"
    assert of(result, "count")[0]["found"] == "2 of the host's 8 GPUs answer in this container"
    assert of(result, "module") == []


def test_a_container_without_any_card_asks_nobody(prove):
    result = prove([], count=8, container=True)
    assert result["verdict"] == "pass"
    assert of(result, "count")[0]["verdict"] == "skipped"
    assert result["machine"].asked == []


# Waiting


def test_it_waits_until_all_answer(prove):
    calls = []

    def answer(_arguments):
        calls.append(1)
        return smi_xml(*EIGHT[: 7 + (len(calls) > 3)])

    result = prove(answer, count=8, wait=60, p2p=p2p_text(8))
    assert result["verdict"] == "pass"
    assert result["machine"].slept == 3 * proof_check.PAUSE_SECONDS


def test_it_waits_for_the_fabric_and_not_for_ever(prove):
    result = prove([gpu_xml(0, fabric="In Progress")], wait=20)
    assert ("fabric", address(0)) in bad(result)
    assert 0 < result["machine"].slept <= 20


def test_it_waits_long_for_a_driver_and_shortly_for_one_card(prove):
    assert prove(EIGHT[:7], count=8, wait=300)["machine"].slept == proof_check.SETTLE_SECONDS
    assert prove(Broken("nvidia-smi failed with 9: couldn't communicate"), count=8, wait=300)["machine"].slept == 300
    assert amd(prove, range(3), 4, wait=300)["machine"].slept == 300


def test_it_does_not_wait_for_what_waiting_does_not_mend(prove):
    assert prove(Broken("nvidia-smi is not installed"), count=1, wait=600)["machine"].slept == 0


# What is kept


def test_the_facts_for_others(prove):
    facts = prove(EIGHT[:2])["facts"]
    assert (facts["vendor"], facts["driver_version"], facts["branch"], facts["flavour"]) == (
        "nvidia",
        "580.178.04",
        580,
        "open",
    )
    assert (facts["cuda_version"], facts["gpu_count"]) == ("13.0", 2)
    assert facts["gpus"][1] == {
        "pci_address": address(1),
        "pci_id": "10de:2330",
        "uuid": "GPU-00000000-0000-0000-0000-000000000001",
        "name": "NVIDIA H100 80GB HBM3",
        "architecture": "Hopper",
        "memory_bytes": 81559 * 2**20,
        "memory_class_gb": 80,
        "numa_node": 0,
        "mig_enabled": False,
        "mig_instances": [],
    }
    assert facts == prove(EIGHT[:2])["facts"], "a second run writes the same"


def test_a_card_that_left_the_bus_since_the_last_proof_is_missed(prove):
    last = {FACTS: json.dumps(prove(EIGHT[:3])["facts"])}
    result = prove(EIGHT[:2], files=last)
    assert bad(result) == [("since last", None)]
    text = failures(result["rows"])
    assert address(2) in text
    assert f"delete {FACTS}" in text
    # One that is still on the bus and does not answer is told once.
    assert bad(prove(EIGHT[:2], count=3)) == [("count", None)]


def test_a_card_that_was_replaced_is_told_and_no_failure(prove):
    write_last = {FACTS: json.dumps(prove(EIGHT[:2])["facts"])}
    result = prove([EIGHT[0], gpu_xml(1, uuid="GPU-new")], files=write_last)
    assert result["verdict"] == "pass"
    assert [entry["verdict"] for entry in of(result, "since last")] == ["warn"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"gpus": 7}', '{"gpus": [1, {"uuid": null}]}', '{"gpus": null}'])
def test_a_fact_file_that_somebody_broke_is_none(prove, text):
    files = {FACTS: text}
    assert prove(EIGHT[:1], files=files)["verdict"] == "pass"


# DCGM


@pytest.mark.parametrize("root", ["DCGM Diagnostic", "DCGM GPU Diagnostic"])
def test_a_diagnosis_that_passes(prove, root):
    result = prove(EIGHT[:2], validation="burn", diagnosis=diagnosis(root=root))
    assert result["verdict"] == "pass"
    assert len(of(result, "burn")) == 2


def test_a_diagnosis_that_fails_names_the_card(prove):
    text = "a line before\n" + diagnosis(status="Fail", warning="GPU 1 reached 97 C")
    result = prove(EIGHT[:2], validation="burn", diagnosis=text)
    assert bad(result) == [("burn", address(1))]
    assert "targeted_stress: GPU 1 reached 97 C" in failures(result["rows"])


@pytest.mark.parametrize(
    "text",
    ["", "Error: unable to establish a connection", "{}", '{"DCGM Diagnostic": 7}', "[]", '{"DCGM Diagnostic": {}}'],
)
def test_an_answer_that_is_no_diagnosis_fails(prove, text):
    assert ("burn", None) in bad(prove(EIGHT[:2], validation="burn", diagnosis=text))


def test_an_error_of_dcgm_itself_fails(prove):
    text = json.dumps({"DCGM Diagnostic": {"runtime_error": "The GPUs are in use", "test_categories": []}})
    assert "The GPUs are in use" in failures(prove(EIGHT[:2], validation="burn", diagnosis=text)["rows"])


def test_a_burn_that_did_not_run_is_no_pass(prove):
    assert prove(EIGHT[:2], validation="burn")["verdict"] == "unknown"


# AMD


def amd_files(numbers: range, ue: int = 0, linked: bool = True) -> dict[str, str]:
    """The kernel's files for MI300X cards, kfd nodes 1 and up."""
    files = {"/sys/class/kfd/kfd/topology/nodes/0/properties": "simd_count 0"}
    for number in numbers:
        node = f"/sys/class/kfd/kfd/topology/nodes/{number + 1}"
        place = f"/sys/bus/pci/devices/{address(number)}"
        location = (number + 0x10) << 8
        files |= {
            f"{node}/properties": f"simd_count 1216\nvendor_id 4098\ndevice_id {0x74A1}\nlocation_id {location}\ndomain 0",
            f"{node}/mem_banks/0/properties": f"heap_type 1\nsize_in_bytes {192 * 2**30}",
            f"{place}/unique_id": f"abc{number}",
            f"{place}/current_link_width": "16",
            f"{place}/max_link_width": "16",
            f"{place}/ras/umc_err_count": f"ue: {ue if number == 1 else 0}\nce: 4",
        }
        for other in numbers if linked else ():
            if other != number:
                files[f"{node}/io_links/{other}/properties"] = f"type 11\nnode_to {other + 1}"
    return files


def amd(prove, present: range, on_bus: int, **other: Any) -> dict[str, Any]:
    hardware = before(on_bus, vendor="amd", pci_id="1002:74a1", memory_class_gb=192)
    files = amd_files(present, other.pop("ue", 0), other.pop("linked", True))
    options = {"vendor": "amd", "branch": None, "flavour": None, "module": False, **other}
    return prove(
        Broken("must not be asked"), count=on_bus, hardware=hardware, files={"/dev/kfd": "x", **files}, **options
    )


def test_amd_cards_are_read_from_the_kernel(prove):
    result = amd(prove, range(4), 4)
    assert result["verdict"] == "pass", result["lines"]
    assert result["machine"].asked == []
    assert result["facts"]["gpus"][3]["memory_class_gb"] == 192
    assert [entry["verdict"] for entry in of(result, "p2p")] == ["pass"]


def test_amd_three_of_four_fail_and_the_missing_one_is_named(prove):
    result = amd(prove, range(3), 4)
    assert f"3 of 4 GPUs answer, missing: {address(3)}" in failures(result["rows"])
    assert "amdgpu" in failures(result["rows"])


def test_amd_errors_and_ways(prove):
    result = amd(prove, range(2), 2, ue=3, linked=False)
    assert bad(result) == [("ecc", address(1))]
    assert [entry["verdict"] for entry in of(result, "p2p")] == ["warn"]


# Rows


def test_the_worst_row_decides():
    rows = [row("a", verdict, "x") for verdict in ("pass", "warn", "skipped")]
    assert overall(rows) == "pass"
    assert overall([*rows, row("a", "unknown", "x")]) == "unknown"
    assert overall([*rows, row("a", "unknown", "x"), row("a", "pending", "x")]) == "pending"
    assert overall([*rows, row("a", "pending", "x"), row("a", "fail", "x")]) == "fail"


def test_a_remedy_that_rows_share_is_said_once():
    rows = [row("a", "fail", f"x{number}", remedy="Mend it") for number in range(3)]
    assert failures(rows) == "x0; x1; x2. Mend it"

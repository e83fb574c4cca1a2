"""Debian's own driver, with its module really built for a kernel of Debian: proprietary on Debian 12, open on 13."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/gpu_vendor"))

from scenario import Scenario  # noqa: E402

CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
CACHE = "/var/cache/mlops-gpu"
INSTALLED = "dpkg-query --show --showformat '${Package}\n'"


class Debian(Scenario):
    """What the scenario's container should have. The second release runs the same playbook from here."""

    def __init__(self, host) -> None:
        super().__init__(host)
        self.playbook = CONVERGE
        self.kernel = (self.inventory.parent / ".mlops/kernel").read_text().strip()
        self.open = host.ansible.get_variables().get("gpu_driver_flavour") == "open"
        self.package = "nvidia-open-kernel-dkms" if self.open else "nvidia-kernel-dkms"
        self.module = "nvidia-current-open" if self.open else "nvidia-current"

    def version(self, package: str) -> str:
        return self.host.check_output("dpkg-query --show --showformat '${Version}' %s", package)

    @property
    def installed(self) -> str:
        return self.version(self.package).rpartition("-")[0]

    def modinfo(self, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.host.check_output("modinfo --set-version %s %s", self.kernel, name).splitlines():
            key, _colon, value = line.partition(":")
            found.setdefault(key, value.strip())
        return found


@pytest.fixture
def scenario(host):
    return Debian(host)


# What is there after the run


def test_the_module_is_built_for_the_kernel(scenario):
    """Its version is the driver's, and the kernel that it was built for is the one that was named."""
    for name in (scenario.module, f"{scenario.module}-uvm", f"{scenario.module}-modeset", f"{scenario.module}-drm"):
        found = scenario.modinfo(name)
        assert found["version"] == scenario.installed, name
        assert found["vermagic"].split()[0] == scenario.kernel, name
        assert found["filename"].startswith(f"/lib/modules/{scenario.kernel}/updates/dkms/"), name


def test_the_module_is_of_the_flavour_that_was_asked_for(scenario):
    found = scenario.modinfo(scenario.module)
    assert found["license"] == ("Dual MIT/GPL" if scenario.open else "NVIDIA")


def test_dkms_knows_it_for_the_kernels_to_come(host, scenario):
    """A module that was only copied would be missing after the next upgrade of the kernel."""
    status = host.check_output("dkms status")
    assert f"{scenario.module}/{scenario.installed}, {scenario.kernel}, x86_64: installed" in status, status
    assert host.file(f"/usr/src/{scenario.module}-{scenario.installed}/dkms.conf").exists
    assert not host.file(f"/usr/share/{scenario.module}-dkms").exists
    assert not host.file("/var/lib/mlops-onprem/gpu/trial").exists


def test_the_user_space_is_of_the_modules_version(host, scenario):
    for name in ("libcuda1", "nvidia-smi"):
        assert scenario.version(name).rpartition("-")[0] == scenario.installed
    # It loads; whose GPUs these would be is the kernel's to say.
    said = host.run("nvidia-smi")
    assert said.rc == 9 and "couldn't communicate with the NVIDIA driver" in said.stdout, said


def test_nothing_of_x_comes_with_it(host):
    there = set(host.check_output(INSTALLED).splitlines())
    assert not {name for name in there if name.startswith(("xserver-", "libx11-", "libgl1"))}


def test_the_alias_of_a_gpu_leads_to_the_module_and_not_to_nouveau(host, scenario):
    alias = "pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00"
    shown = host.run(f"modprobe --set-version {scenario.kernel} --show-depends --use-blacklist {alias}").stdout
    assert "nouveau" not in shown and scenario.module in shown, shown


def test_the_initramfs_knows_that_nouveau_is_off(host, scenario):
    """By the role's own file: the distribution's driver brings another one, the vendor's does not."""
    host.check_output(f"rm -rf /tmp/initramfs && unmkinitramfs /boot/initrd.img-{scenario.kernel} /tmp/initramfs")
    found = host.file("/tmp/initramfs/etc/modprobe.d/mlops-onprem-gpu-driver.conf").content_string.splitlines()
    assert "blacklist nouveau" in found, found


def test_the_driver_is_held(host, scenario):
    held = host.check_output("apt-mark showhold").split()
    assert {scenario.package, "libcuda1", "nvidia-smi"} <= set(held)


def test_no_kernel_was_moved(host, scenario):
    assert host.check_output("ls /lib/modules") == scenario.kernel


# What a later run does


def test_what_differs_is_put_right_and_nothing_else(host, scenario):
    """A hold that somebody took away, and an initramfs that is older than the blacklist."""
    initramfs = f"/boot/initrd.img-{scenario.kernel}"
    before = host.file(initramfs).mtime
    host.check_output("apt-mark unhold libcuda1 && touch /etc/modprobe.d/mlops-onprem-gpu-driver.conf")
    said = scenario.good()
    changed = set(re.findall(r"TASK \[\S+ : ([^\]]*)\] \*+\n(?:(?!TASK).*\n)*?changed:", said))
    assert changed == {
        "Install, remove and hold, in one transaction",
        "Make the initramfs anew, without nouveau",
        "Write the record",
    }, said[-3000:]
    assert "libcuda1" in host.check_output("apt-mark showhold").split()
    assert host.file(initramfs).mtime > before


def test_refuses_a_module_that_is_known_not_to_compile(scenario):
    """Debian 12's open modules, before anything is fetched. In check mode: else, it would build for minutes where this fails."""
    if scenario.open:
        pytest.skip("the open modules are installed here")
    said = scenario.refused("--check", gpu_driver_flavour="open", gpu_driver_upgrade=True)
    assert f"nvidia-open-kernel-dkms 535.261.03-1 does not compile for the kernel {scenario.kernel}." in said, said
    assert "Nothing was installed or removed" in said


def test_a_module_that_does_not_compile_is_known_before_the_packages_are_touched(host, scenario):
    """The build is made to fail by an architecture that the kernel does not have."""
    driver = scenario.installed
    archive = f"{scenario.module}-{driver}.dkms.tar.gz"
    place = f"/usr/share/{scenario.module}-dkms"
    named = f"-m {scenario.module} -v {driver} -k {scenario.kernel}"
    host.check_output(f"dkms mktarball {named} --binaries-only --archive /root/{archive}")
    if host.file(CACHE).exists:
        # Named as tests/vm/guest/gpu/module-in expects it.
        headers = scenario.version(f"linux-headers-{scenario.kernel}")
        kept = f"{CACHE}/{scenario.kernel}-{headers}-{scenario.version(scenario.package)}.dkms.tar.gz"
        host.check_output(f"cp /root/{archive} {kept}.new && mv {kept}.new {kept}")
    host.check_output(f"apt-get --yes --allow-change-held-packages remove {scenario.package}")
    before = host.check_output(INSTALLED)
    try:
        said = scenario.refused(build_environment={"ARCH": "none"})
        assert f"{driver} does not compile for the kernel {scenario.kernel}" in said, said
        assert "The driver's packages were not touched." in said
        assert host.check_output(INSTALLED) == before
        assert not host.file(place).exists
    finally:
        # As it was, without a build.
        host.check_output(f"mkdir -p {place} && mv /root/{archive} {place}")
        host.check_output(
            f"apt-get --yes install {scenario.package} && apt-mark hold {scenario.package} && rm -r {place}"
        )
    test_the_module_is_built_for_the_kernel(scenario)


def test_takes_back_all_that_it_brought(host, scenario):
    if not scenario.open:
        pytest.skip("the mutations go on with what is installed here: a build takes minutes")
    scenario.good(gpu_driver_state="absent")
    assert host.check_output(INSTALLED) == host.file("/srv/packages").content_string.strip()
    left = host.check_output(
        "ls -d /usr/src/nvidia* /var/lib/dkms/nvidia* /lib/modules/*/updates/dkms/*.ko* /etc/*/mlops-onprem* "
        "/var/lib/mlops-onprem/gpu/driver.json /usr/share/nvidia*-dkms 2> /dev/null || true"
    )
    assert left == ""
    assert host.check_output("apt-mark showhold") == ""
    assert scenario.changed(gpu_driver_state="absent") == 0

"""A stand-in for the repositories of NVIDIA and AMD: small packages under their real names and versions, signed with a key made here.

    vendor.py FOLDER [VERSION ...]        publish the driver in these versions beside those that are there

Runs in the test's container as root. Nothing in the packages is a driver: a kernel module is an ELF file with the fields that
modinfo shows and no code, and programs are scripts that say what they were called with. Below FOLDER:

    distribution                                  flat, for what the host's own sources would have
    cuda/debian12/x86_64, cuda/debian13/x86_64    NVIDIA's flat repository of the driver
    container-toolkit/stable/deb/amd64            NVIDIA's flat repository of the container toolkit
    amd/amdgpu/31.40.1/ubuntu, rocm/debian12      AMD's repositories, with suites
    mig-parted/v0.15.0                            a file
    key.asc, fingerprint                          the key of all of them

Some versions are made for tests: 590.48.01 needs another kernel, 610.57.04 conflicts with a package that is no driver's.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

# What the vendor's lists had in November 2026, but for the first of each branch.
VERSIONS = ("580.126.20", "590.48.01", "595.58.03", "610.57.04")
KERNEL = "6.1.0-40-amd64"
OTHER_KERNEL = "6.1.0-99-amd64"
MOVES_KERNEL, REMOVES_OTHERS = "590.48.01", "610.57.04"
TOOLKIT, DCGM, MIG_PARTED = "1.20.0", "4.6.0", "0.15.0"
UNIT = "[Unit]\nDescription={0} (stand-in)\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
LOG = "/var/log/gpu-vendor.log"


def module(version: str, flavour: str, release: str) -> bytes:
    """An ELF file with a section .modinfo, as modinfo(8) reads it."""
    license_text = "Dual MIT/GPL" if flavour == "open" else "NVIDIA"
    fields = [f"version={version}", f"license={license_text}", f"vermagic={release} SMP preempt mod_unload modversions"]
    info = b"".join(field.encode() + b"\0" for field in fields)
    names = b"\0.modinfo\0.shstrtab\0"
    begin = 64 + len(info) + len(names)
    sections = [
        struct.pack("<IIQQQQIIQQ", *([0] * 10)),
        struct.pack("<IIQQQQIIQQ", 1, 1, 2, 0, 64, len(info), 0, 0, 1, 0),
        struct.pack("<IIQQQQIIQQ", 10, 3, 0, 0, 64 + len(info), len(names), 0, 0, 1, 0),
    ]
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, begin, 0, 64, 0, 0, 64, len(sections), 2)
    return head + info + names + b"".join(sections)


class Package:
    """One package: control fields, files by path (text, or bytes), and maintainer scripts."""

    def __init__(self, name: str, version: str, depends: str = "", **fields: str) -> None:
        self.name, self.version = name, version
        self.fields = {"Depends": depends, **{key.replace("_", "-"): value for key, value in fields.items()}}
        self.files: dict[str, str | bytes] = {}
        self.scripts: dict[str, str] = {}

    def file(self, path: str, content: str | bytes) -> Package:
        self.files[path] = content
        return self

    def script(self, name: str, text: str) -> Package:
        self.scripts[name] = f"#!/bin/sh\nset -e\n{text}\n"
        return self

    @property
    def control(self) -> str:
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": "amd64",
            "Maintainer": "Stand-in <nobody@example.com>",
            **{key: value for key, value in self.fields.items() if value},
            "Description": "stand-in for tests, without a driver in it",
        }
        return "".join(f"{key}: {value}\n" for key, value in fields.items())

    def build(self, folder: Path) -> Path:
        target = folder / f"{self.name}_{self.version}_amd64.deb"
        if target.exists():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as work:
            root = Path(work)
            for path, content in self.files.items():
                place = root / path.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.encode() if isinstance(content, str) else content)
                place.chmod(0o755 if isinstance(content, str) and content.startswith("#!") else 0o644)
            (root / "DEBIAN").mkdir()
            (root / "DEBIAN/control").write_text(self.control)
            for name, text in self.scripts.items():
                (root / "DEBIAN" / name).write_text(text)
                (root / "DEBIAN" / name).chmod(0o755)
            root.chmod(0o755)
            run("dpkg-deb", "-Znone", "--root-owner-group", "--build", str(root), str(target))
        return target


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


def program(name: str) -> str:
    """A script that notes that it was called."""
    return f'#!/bin/sh\necho "{name} $*" >> {LOG}\n'


def kernel_module(version: str, flavour: str) -> Package:
    """The DKMS package of NVIDIA."""
    mine, other = "nvidia-kernel-open-dkms", "nvidia-kernel-dkms"
    if flavour == "proprietary":
        mine, other = other, mine
    return with_module(Package(mine, f"{version}-1", Conflicts=other), "nvidia", module(version, flavour, KERNEL))


def with_module(package: Package, name: str, content: bytes) -> Package:
    """The module is put where DKMS would put it, for each kernel whose headers are there."""
    place = f"/usr/share/gpu-vendor/{package.name}.ko"
    package.file(place, content)
    package.script(
        "postinst",
        f"for kernel in /lib/modules/*/build; do\n  folder=${{kernel%/build}}/updates/dkms\n  mkdir -p $folder\n"
        f"  cp {place} $folder/{name}.ko\ndone",
    )
    return package.script("prerm", f"rm -f /lib/modules/*/updates/dkms/{name}.ko")


def driver(version: str) -> list[Package]:
    """The packages of one version of the driver, as NVIDIA's repository for Debian names them."""
    branch, full = version.split(".", maxsplit=1)[0], f"{version}-1"
    pin = "Package: *nvidia* libcuda1 libnv* cuda-drivers*\nPin: version {0}*\nPin-Priority: 1000\n"
    user = Package("nvidia-driver-cuda", full, f"libcuda1 (= {full})").file("/usr/bin/nvidia-smi", smi(version))
    if version == MOVES_KERNEL:
        user.fields["Depends"] += f", linux-image-{OTHER_KERNEL}"
    library = Package("libcuda1", full, Conflicts="site-tool" if version == REMOVES_OTHERS else "")
    library.file("/usr/share/gpu-vendor/libcuda1", version)
    found = [
        Package(f"nvidia-driver-pinning-{branch}", f"{branch}-1").file(
            f"/etc/apt/preferences.d/nvidia-driver-pinning-{branch}", pin.format(f"{branch}.")
        ),
        Package(f"nvidia-driver-pinning-{version}", f"{version}-1").file(
            f"/etc/apt/preferences.d/nvidia-driver-pinning-{version}", pin.format(version)
        ),
        kernel_module(version, "open"),
        kernel_module(version, "proprietary"),
        user,
        library,
        Package("nvidia-open", full, f"nvidia-driver-cuda (= {full}), nvidia-kernel-open-dkms (= {full})"),
        Package("cuda-drivers", full, f"nvidia-driver-cuda (= {full}), nvidia-kernel-dkms (= {full})"),
        Package("libnvidia-nscq", full),
        Package("libnvsdm", full),
    ]
    for name in ("nvidia-persistenced", "nvidia-fabricmanager", "nvidia-imex"):
        found.append(Package(name, full).file(f"/lib/systemd/system/{name}.service", UNIT.format(name)))
    return found


def smi(version: str) -> str:
    """nvidia-smi: what /srv/gpu/nvidia-smi.xml holds, with this version of the driver; for `topo`, what /srv/gpu/p2p holds."""
    return (
        f"#!/bin/sh\n{program('nvidia-smi').splitlines()[1]}\n"
        "[ $1 != topo ] || exec cat /srv/gpu/p2p\n"
        "[ -r /srv/gpu/nvidia-smi.xml ] || { echo 'No devices were found'; exit 6; }\n"
        f'exec sed "s|<driver_version>.*</driver_version>|<driver_version>{version}</driver_version>|" /srv/gpu/nvidia-smi.xml\n'
    )


def others() -> list[Package]:
    """What the same repository has beside the driver."""
    found = [
        Package("nvlsm", "2025.06.11-1"),
        Package("cuda-keyring", "1.1-1")
        .file(
            "/etc/apt/sources.list.d/cuda-debian12-x86_64.list",
            "deb [signed-by=/usr/share/keyrings/cuda-archive-keyring.gpg] http://127.0.0.1:8090/cuda/debian12/x86_64/ /\n",
        )
        .file("/usr/share/keyrings/cuda-archive-keyring.gpg", "an older key\n"),
    ]
    for major in ("12", "13"):
        dcgm = Package(f"datacenter-gpu-manager-4-cuda{major}", f"1:{DCGM}-1", "datacenter-gpu-manager-4-core")
        found.append(dcgm)
    core = Package("datacenter-gpu-manager-4-core", f"1:{DCGM}-1", Conflicts="datacenter-gpu-manager")
    core.file("/usr/bin/dcgmi", program("dcgmi")).file(
        "/lib/systemd/system/nvidia-dcgm.service", UNIT.format("nvidia-dcgm")
    )
    return [*found, core, Package("datacenter-gpu-manager", "1:3.3.9")]


def distribution() -> list[Package]:
    """What the host's own sources would have: a kernel with its headers, another kernel, and a tool of the site."""
    found = [Package("site-tool", "1.0"), Package(f"linux-image-{OTHER_KERNEL}", "6.1.999-1")]
    for release in (KERNEL, OTHER_KERNEL):
        headers = Package(f"linux-headers-{release}", "6.1.153-1")
        found.append(headers.file(f"/lib/modules/{release}/build/Makefile", "# stand-in\n"))
    return found


def toolkit() -> list[Package]:
    version = f"{TOOLKIT}-1"
    base = Package("nvidia-container-toolkit-base", version).file("/usr/bin/nvidia-ctk", program("nvidia-ctk"))
    base.file("/lib/systemd/system/nvidia-cdi-refresh.service", UNIT.format("nvidia-cdi-refresh"))
    base.file(
        "/lib/systemd/system/nvidia-cdi-refresh.path",
        "[Path]\nPathChanged=/lib/modules\n[Install]\nWantedBy=multi-user.target\n",
    )
    return [
        base,
        Package(
            "nvidia-container-toolkit",
            version,
            f"nvidia-container-toolkit-base (= {version}), libnvidia-container-tools (= {version})",
        ),
        Package("libnvidia-container-tools", version, f"libnvidia-container1 (= {version})"),
        Package("libnvidia-container1", version),
    ]


def stanza(deb: Path, root: Path) -> str:
    data = deb.read_bytes()
    control = run("dpkg-deb", "--field", str(deb))
    name = deb.relative_to(root)
    return f"{control}Filename: ./{name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"


def publish(root: Path, home: Path, suite: str = "") -> None:
    """Write the lists of a repository and sign them. `suite`: with dists/ and the component main; flat without one."""
    debs = sorted(root.rglob("*.deb"))
    text = "\n".join(stanza(deb, root) for deb in debs)
    folder = root / "dists" / suite if suite else root
    inside = "main/binary-amd64/" if suite else ""
    (folder / inside).mkdir(parents=True, exist_ok=True)
    files = {f"{inside}Packages": text.encode(), f"{inside}Packages.gz": gzip.compress(text.encode(), mtime=0)}
    sums = ""
    for name, data in files.items():
        (folder / name).write_bytes(data)
        sums += f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"
    date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S UTC")
    names = f"Suite: {suite}\nCodename: {suite}\nComponents: main\n" if suite else ""
    release = f"Origin: stand-in\n{names}Architectures: amd64\nDate: {date}\nSHA256:\n{sums}"
    (folder / "Release").write_text(release)
    target = folder / "InRelease"
    target.unlink(missing_ok=True)
    gpg(home, "--clearsign", "--output", str(target), str(folder / "Release"))


def gpg(home: Path, *arguments: str) -> str:
    return run(
        "gpg", "--homedir", str(home), "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", *arguments
    )


def key(folder: Path) -> Path:
    """The key of all repositories; made once."""
    home = folder / "gnupg"
    if not home.exists():
        home.mkdir(mode=0o700, parents=True)
        gpg(home, "--quick-generate-key", "Stand-in of a vendor <nobody@example.com>", "ed25519", "sign", "never")
        (folder / "key.asc").write_text(gpg(home, "--armor", "--export"))
        listed = gpg(home, "--with-colons", "--list-keys")
        (folder / "fingerprint").write_text(
            next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        )
    return home


def main() -> None:
    folder, versions = Path(sys.argv[1]), sys.argv[2:] or VERSIONS
    home = key(folder)
    first = not (folder / "cuda").exists()
    root = folder / "cuda/debian12/x86_64"
    for package in [*(package for version in versions for package in driver(version)), *others()]:
        package.build(root)
    for name in ("3bf863cc.pub", "8793F200.pub"):
        shutil.copy(folder / "key.asc", root / name)
    publish(root, home)
    if not first:
        return
    (folder / "cuda/debian13").symlink_to("debian12")
    root = folder / "distribution"
    for package in distribution():
        package.build(root)
    publish(root, home)
    root = folder / "container-toolkit/stable/deb/amd64"
    for package in toolkit():
        package.build(root)
    publish(root, home)
    shutil.copy(folder / "key.asc", folder / "container-toolkit/gpgkey")
    root = folder / "amd/amdgpu/31.40.1/ubuntu"
    amdgpu = Package("amdgpu-dkms", "1:6.16.6.31400100-1")
    with_module(amdgpu, "amdgpu", module("6.16.6", "open", KERNEL)).build(root)
    publish(root, home, "jammy")
    (folder / "amd/rocm").mkdir(parents=True)
    shutil.copy(folder / "key.asc", folder / "amd/rocm/rocm.gpg.key")
    root = folder / "rocm/debian12"
    Package("amdrocm7.14-gfx942", "7.14.0-1").build(root)
    publish(root, home, "stable")
    (folder / "rocm/gpg").mkdir()
    shutil.copy(folder / "key.asc", folder / "rocm/gpg/rocm.gpg")
    mig = Package("nvidia-mig-manager", f"{MIG_PARTED}-1").file(
        "/usr/bin/nvidia-mig-parted", program("nvidia-mig-parted")
    )
    mig.build(folder / f"mig-parted/v{MIG_PARTED}")


if __name__ == "__main__":
    main()

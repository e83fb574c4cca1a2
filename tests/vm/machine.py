"""One virtual machine: QEMU, its disks, and a shell on it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import accelerator
from disk import Disk, content_hash
from qmp import Qmp, QmpError

# A boot to SSH takes 14 s on 2 idle cores under software emulation, 40 s beside two other jobs; the limit is for a
# computer that is busier still.
BOOT_SECONDS = 180
# Slots for disks that are added later.
SPARE_PORTS = 4
PR_SET_PDEATHSIG = 1


class MachineError(RuntimeError):
    """The machine does not do what it was asked, within its time."""


@dataclass(frozen=True)
class Image:
    """What scripts/vm_image.sh made."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.img"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinux"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def initramfs(self) -> Path:
        """What the guest has in /boot. Only of the kind gpu."""
        return self.folder / "initramfs"


@dataclass(frozen=True)
class Wire:
    """The second network card: addresses by machine name, and the UNIX sockets of the two ends."""

    addresses: dict[str, str]
    local: Path
    remote: Path


@dataclass
class Machine:
    """folder: its disks and console.log. run_folder: sockets, a short path. key: SSH key, `.pub` beside it."""

    name: str
    image: Image
    folder: Path
    run_folder: Path
    key: Path
    disks: list[Disk] = field(default_factory=list)
    memory_mib: int = 1024
    processors: int = 2
    wire: Wire | None = None
    # The initramfs that it starts from; None for the image's own, which loads what the root disk needs and no more.
    initramfs: Path | None = None
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _qmp: Qmp | None = None
    _ports: dict[str, str] = field(default_factory=dict)
    _port_count: int = 0
    _failed: set[str] = field(default_factory=set)
    _uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    # ---- power

    def launch(self) -> None:
        """Switch it on and return at once. From the main thread: the machine ends with the thread that started it."""
        if threading.current_thread() is not threading.main_thread():
            raise MachineError(f"{self.name}: only the main thread may start a machine")
        if self.running:
            return
        self._prepare_files()
        # Another process may take the free port before QEMU does.
        for _attempt in range(5):
            self.port = self.port or _free_port()
            if self._spawn():
                return
            self.port = 0
        raise MachineError(f"{self.name}: QEMU does not start: {self._qemu_log.read_text()[-2000:]}")

    def start(self, timeout: float = BOOT_SECONDS) -> Machine:
        """Switch it on and wait until SSH lets us in."""
        self.launch()
        self.wait_for_ssh(timeout)
        return self

    def wait_for_ssh(self, timeout: float = BOOT_SECONDS, other_than: str = "") -> None:
        """Until a command runs over SSH, in another boot than `other_than` (a boot id), and the disks have their names.

        A kernel under software emulation now and then stops in its first seconds, before anything of the guest's own runs
        (seen once in some hundreds of boots, on a busy computer). A machine that was switched on and lets nobody in is
        therefore reset once, with a warning; one that was asked to restart is not.
        """
        if self._lets_us_in(timeout, other_than):
            return
        if not other_than:
            warnings.warn(f"{self.name}: no SSH within {timeout:.0f} s, reset\n{self.console_tail()}", stacklevel=2)
            self._monitor.execute("system_reset")
            if self._lets_us_in(timeout, other_than):
                return
        raise MachineError(f"{self.name}: no SSH within {timeout:.0f} s\n{self.console_tail()}")

    def reboot(self, timeout: float = BOOT_SECONDS) -> None:
        """An orderly restart, as `systemctl reboot` does it; back when SSH answers in the new boot."""
        before = self.boot_id()
        self.run("systemctl reboot", timeout=60)
        self.wait_for_ssh(timeout, other_than=before)

    def power_cut(self) -> None:
        """The power fails: QEMU is killed. Disk.blockdev says what that does and does not simulate. Then start()."""
        self._kill(signal.SIGKILL)

    def stop(self) -> None:
        """Off, without asking the guest; nothing happens if it is off."""
        self._kill(signal.SIGTERM)

    def restart_from_boot(self, timeout: float = BOOT_SECONDS) -> None:
        """Off, in order, and on again with the initramfs that the guest has in /boot by now, as a boot loader would take it."""
        command = ["ssh", *self.ssh_options(), "root@127.0.0.1", "cat /boot/initrd.img-$(uname -r)"]
        self.initramfs = self.folder / "initramfs"
        with self.initramfs.open("wb") as file:
            subprocess.run(command, stdout=file, timeout=120, check=True)
        self.run("systemctl poweroff", timeout=60)
        deadline = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > deadline:
                raise MachineError(f"{self.name}: still on after {timeout:.0f} s\n{self.console_tail()}")
            time.sleep(0.2)
        self.stop()
        self.start(timeout)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise MachineError(f"{self.name} is off")
        return self._process.pid

    # ---- the guest

    def run(self, command: str, timeout: float = 120, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A shell command as root. Exit code 255 is also what ssh gives when the connection breaks."""
        return subprocess.run(
            ["ssh", *self.ssh_options(), "root@127.0.0.1", command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, command: str, timeout: float = 120) -> str:
        """What a command prints, without the last line's end. MachineError with all output if it fails."""
        result = self.run(command, timeout)
        if result.returncode != 0:
            raise MachineError(f"{self.name}: {command}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout.rstrip("\n")

    def wait_for(self, command: str, timeout: float = 120) -> None:
        """Run a command each second until it succeeds."""
        deadline = time.monotonic() + timeout
        while (result := self.run(command)).returncode != 0:
            if time.monotonic() > deadline:
                raise MachineError(f"{self.name}: still failing after {timeout:.0f} s: {command}\n{result.stdout}")
            time.sleep(1)

    def boot_id(self) -> str:
        return self.ok("cat /proc/sys/kernel/random/boot_id")

    def ssh_options(self) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "ControlMaster": "auto",
            "ControlPath": str(self._control_path),
            "ControlPersist": "30m",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "ServerAliveInterval": "10",
            # The host key is the image's, and the way leads through no network.
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return ["-F", "none", "-i", str(self.key), "-p", str(self.port), *options]

    def inventory(self) -> dict[str, Any]:
        """This host's variables for Ansible. It shares the connection of run(): a handshake costs seconds here."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_control_path": str(self._control_path),
            "ansible_ssh_common_args": "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            " -o LogLevel=ERROR -o IdentitiesOnly=yes -o ServerAliveInterval=10",
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def console_tail(self, lines: int = 60) -> str:
        if not self.console.exists():
            return ""
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    # ---- disks

    def disk(self, serial: str) -> Disk:
        return next(disk for disk in self.disks if disk.serial == serial)

    def disk_file(self, serial: str) -> Path:
        return self.folder / f"{serial}.raw"

    def add_disk(self, disk: Disk) -> None:
        """Plug in an empty disk, or the one of this serial that was pulled; back when the guest shows it."""
        disk.create(self.disk_file(disk.serial))
        self.disks.append(disk)
        if not self.running:
            return
        monitor = self._monitor
        monitor.execute("blockdev-add", **disk.blockdev(self.disk_file(disk.serial)))
        monitor.execute("device_add", **disk.drive(disk.node, self._take_port(disk)))
        self.wait_for(f"test -b {disk.by_id}", 60)

    def pull_disk(self, serial: str) -> None:
        """Take a disk out, in order: the guest is asked to let go of the device. Its content stays for add_disk."""
        disk = self.disk(serial)
        if self.running:
            self._monitor.execute("device_del", id=disk.device)
            self._monitor.wait("DEVICE_DELETED", 60, device=disk.device)
            self.mend_disk(serial)
            self._monitor.execute("blockdev-del", node_name=disk.node)
        self._ports.pop(serial, None)
        self._failed.discard(serial)
        self.disks.remove(disk)

    def fail_disk(self, serial: str) -> None:
        """From now on, each read and write ends with an I/O error, also after a restart."""
        disk = self.disk(serial)
        self._failed.add(serial)
        if self.running:
            self._monitor.execute("blockdev-add", **_broken(disk))
            self._connect(disk, _broken_node(disk))

    def mend_disk(self, serial: str) -> None:
        """Undo fail_disk."""
        disk = self.disk(serial)
        if serial not in self._failed:
            return
        self._failed.remove(serial)
        if self.running:
            with contextlib.suppress(QmpError):  # the drive was pulled already
                self._connect(disk, disk.node)
            self._monitor.execute("blockdev-del", node_name=_broken_node(disk))

    def grow_disk(self, serial: str, size: int) -> None:
        """Make a disk larger (bytes), as a SAN or hypervisor does.

        virtio tells the guest; a scsi disk shows it after `echo 1 > /sys/block/sdX/device/rescan`. QEMU's nvme takes
        its size when the machine starts: MachineError while it runs.
        """
        disk = self.disk(serial)
        if size <= disk.size:
            raise ValueError(f"disk {serial} has {disk.size} bytes: {size} is not more")
        if not self.running:
            os.truncate(self.disk_file(serial), size)
        elif disk.kind == "nvme":
            raise MachineError(f"{self.name}: an nvme disk grows only while the machine is off")
        else:
            self._monitor.execute("block_resize", node_name=disk.node, size=size)
        disk.size = size

    def disk_hash(self, serial: str) -> str:
        """sha256 of a disk's content. A running machine is paused meanwhile; what it has not flushed is not in it."""
        with self.paused():
            return content_hash(self.disk_file(serial))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The processors stand still and all requests to the disks are finished."""
        if not self.running:
            yield
            return
        self._monitor.execute("stop")
        try:
            yield
        finally:
            self._monitor.execute("cont")

    # ---- inside

    @property
    def _monitor(self) -> Qmp:
        if self._qmp is None:
            raise MachineError(f"{self.name} is off")
        return self._qmp

    @property
    def _control_path(self) -> Path:
        return self.run_folder / f"{self.name}.ssh"

    @property
    def _qemu_log(self) -> Path:
        return self.folder / "qemu.log"

    @property
    def _overlay(self) -> Path:
        return self.folder / "root.qcow2"

    def _lets_us_in(self, timeout: float, other_than: str) -> bool:
        """Wait for SSH in another boot than `other_than`; False if that takes longer. MachineError if QEMU ends."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise MachineError(f"{self.name} ended while it started: {self._qemu_log.read_text()[-2000:]}")
            if _has_banner(self.port):
                self._forget_connection()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    found = self.run("cat /proc/sys/kernel/random/boot_id", timeout=30)
                    if found.returncode == 0 and found.stdout.strip() != other_than:
                        self._wait_for_disks(deadline - time.monotonic())
                        return True
            time.sleep(0.3)
        return False

    def _wait_for_disks(self, timeout: float) -> None:
        """SSH answers before udev has named every disk, on a busy computer."""
        for disk in self.disks:
            if disk.serial not in self._failed:
                self.wait_for(f"test -b {disk.by_id}", timeout)

    def _prepare_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._overlay.exists():
            backing = ["-F", "raw", "-b", str(self.image.root)]
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self._overlay)], check=True)
        for disk in self.disks:
            disk.create(self.disk_file(disk.serial))

    def _spawn(self) -> bool:
        """Start QEMU; False if it ends at once."""
        monitor = self.run_folder / f"{self.name}.qmp"
        monitor.unlink(missing_ok=True)
        with self._qemu_log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(monitor),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if os.environ.get("MLOPS_VM_KEEP") else _end_with_parent,
            )
        deadline = time.monotonic() + 30
        while self._process.poll() is None:
            try:
                self._qmp = Qmp(monitor)
                return True
            except (FileNotFoundError, ConnectionError) as error:
                if time.monotonic() > deadline:
                    self._kill(signal.SIGKILL)
                    raise MachineError(f"{self.name}: QEMU's monitor does not answer: {error}") from error
                time.sleep(0.05)
        return False

    def _command(self, monitor: Path) -> list[str]:
        kind, words = self.key.with_suffix(".pub").read_text().split()[:2]
        kernel = [
            "console=ttyS0 net.ifnames=0 loglevel=7 systemd.show_status=true mitigations=off nokaslr",
            f"systemd.hostname={self.name} vm.key={kind}:{words}",
        ]
        if self.initramfs:
            kernel.append("root=/dev/vda")
        if self.wire:
            hosts = ",".join(f"{address}:{name}" for name, address in self.wire.addresses.items())
            kernel.append(f"vm.address={self.wire.addresses[self.name]} vm.hosts={hosts}")
        command = [
            *("qemu-system-x86_64", "-name", self.name, "-uuid", self._uuid),
            *("-machine", "q35,sata=off,smbus=off", *accelerator.ARGUMENTS[accelerator.here()]),
            *("-smp", str(self.processors), "-m", str(self.memory_mib)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
            *("-kernel", str(self.image.kernel), "-append", " ".join(kernel)),
            *("-initrd", str(self.initramfs or self.image.initrd)),
            *("-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console"),
            *("-qmp", f"unix:{monitor},server=on,wait=off"),
            *("-device", "virtio-rng-pci"),
            # The overlay's own tables are written when the guest flushes, whatever the cache mode.
            *("-drive", f"file={self._overlay},if=none,id=root,format=qcow2,cache=unsafe,discard=unmap"),
            *("-device", "virtio-blk-pci,drive=root,serial=root"),
            # restrict: the machine reaches nothing, neither this computer nor what is behind it.
            *("-netdev", f"user,id=way-in,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=way-in,romfile="),
            *("-device", "virtio-scsi-pci,id=scsi"),
        ]
        if self.wire:
            number = self.wire.addresses[self.name].rsplit(".", 1)[1]
            ends = f"local.type=unix,local.path={self.wire.local},remote.type=unix,remote.path={self.wire.remote}"
            command += ["-netdev", f"dgram,id=wire,{ends}"]
            command += ["-device", f"virtio-net-pci,netdev=wire,romfile=,mac=52:54:00:4d:00:{int(number):02x}"]
        # Fixed at the first start, so that a disk stays in its place.
        self._port_count = self._port_count or len(self.disks) + SPARE_PORTS
        for port in range(self._port_count):
            command += ["-device", f"pcie-root-port,id=port{port},chassis={port},slot={port}"]
        for disk in self.disks:
            command += ["-blockdev", json.dumps(disk.blockdev(self.disk_file(disk.serial)))]
            node = disk.node
            if disk.serial in self._failed:
                command += ["-blockdev", json.dumps(_broken(disk))]
                node = _broken_node(disk)
            command += ["-device", json.dumps(disk.drive(node, self._take_port(disk)))]
        return command

    def _take_port(self, disk: Disk) -> str:
        if disk.kind == "scsi":
            return "scsi.0"
        if disk.serial not in self._ports:
            free = [name for i in range(self._port_count) if (name := f"port{i}") not in self._ports.values()]
            if not free:
                raise MachineError(f"{self.name}: no slot is free for {disk.serial}")
            self._ports[disk.serial] = free[0]
        return self._ports[disk.serial]

    def _connect(self, disk: Disk, node: str) -> None:
        path = f"/machine/peripheral/{disk.device}"
        if disk.kind == "virtio":
            path += "/virtio-backend"
        self._monitor.execute("qom-set", path=path, property="drive", value=node)

    def _kill(self, with_signal: int) -> None:
        process, self._process = self._process, None
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._forget_connection()

    def _forget_connection(self) -> None:
        """End the shared SSH connection; what it led to is gone."""
        if self._control_path.exists():
            command = ["ssh", "-F", "none", "-o", f"ControlPath={self._control_path}", "-O", "exit", "machine"]
            subprocess.run(command, capture_output=True, timeout=20, check=False)
            self._control_path.unlink(missing_ok=True)


def start_all(machines: Sequence[Machine]) -> None:
    """Boot several machines at the same time."""
    for machine in machines:
        machine.launch()
    for machine in machines:
        machine.wait_for_ssh()


def _broken_node(disk: Disk) -> str:
    return f"broken-{disk.serial}"


def _broken(disk: Disk) -> dict[str, Any]:
    """A node over the disk's own that answers every request with EIO."""
    errors = [
        {"event": "none", "iotype": kind, "errno": 5} for kind in ("read", "write", "write-zeroes", "discard", "flush")
    ]
    return {"driver": "blkdebug", "node-name": _broken_node(disk), "image": disk.node, "inject-error": errors}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _has_banner(port: int) -> bool:
    """Whether the guest's SSH server greets: QEMU itself accepts connections before the guest listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _end_with_parent() -> None:
    """In the child: end with the thread that started it, so that nothing is left when pytest itself is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

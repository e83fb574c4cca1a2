"""A data disk of a virtual machine: a sparse file on this computer."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

KINDS = ("virtio", "nvme", "scsi")
# virtio-blk carries 20 bytes of a serial number, and drops the rest.
MAX_SERIAL = 20
BLOCK = 65536


@dataclass
class Disk:
    """serial: what the guest finds it by, below /dev/disk/by-id. size: bytes. kind: virtio, nvme or scsi."""

    serial: str
    size: int
    kind: str = "virtio"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"disk {self.serial}: kind {self.kind}: there are {', '.join(KINDS)}")
        if not 0 < len(self.serial) <= MAX_SERIAL or not self.serial.isalnum():
            raise ValueError(f"disk {self.serial}: a serial is 1 to {MAX_SERIAL} letters and digits")

    @property
    def by_id(self) -> str:
        """Its path in the guest, as udev of Debian 12 and 13 names it."""
        prefix = {"virtio": "virtio-", "nvme": "nvme-QEMU_NVMe_Ctrl_", "scsi": "scsi-0QEMU_QEMU_HARDDISK_"}[self.kind]
        return f"/dev/disk/by-id/{prefix}{self.serial}"

    @property
    def node(self) -> str:
        """QEMU's name for what is stored."""
        return f"disk-{self.serial}"

    @property
    def device(self) -> str:
        """QEMU's name for the drive that the guest sees."""
        return f"drive-{self.serial}"

    def create(self, file: Path) -> None:
        """An empty disk, unless the file exists."""
        with file.open("ab") as stream:
            if stream.tell() == 0:
                stream.truncate(self.size)

    def blockdev(self, file: Path) -> dict[str, object]:
        """The node for -blockdev and blockdev-add.

        What the guest wrote is in this computer's page cache as soon as QEMU reports it, so it outlives a QEMU that is
        killed, flushed by the guest or not. A power cut thus loses what the guest held in its own memory (its page
        cache, an open journal transaction, a resync that was under way), and tears operations of several writes apart.
        It does not lose or reorder writes that a real drive would still hold in its volatile cache. As a crash of this
        computer is not what is tested, flushes stop here (no-flush): each would wait for a real disk.
        """
        return {
            "driver": "raw",
            "node-name": self.node,
            "discard": "unmap",
            "cache": {"no-flush": True},
            "file": {"driver": "file", "filename": str(file), "discard": "unmap", "cache": {"no-flush": True}},
        }

    def drive(self, node: str, port: str) -> dict[str, object]:
        """The drive for -device and device_add: what reads and writes `node`, plugged into `port`."""
        drive: dict[str, object] = {"id": self.device, "serial": self.serial, "drive": node, "bus": port}
        if self.kind == "nvme":
            return {"driver": "nvme", **drive}
        # An error goes to the guest; QEMU's default is to pause the machine when its own disk is full.
        drive.update({"werror": "report", "rerror": "report"})
        if self.kind == "scsi":
            return {"driver": "scsi-hd", **drive}
        return {"driver": "virtio-blk-pci", **drive}


def content_hash(file: Path) -> str:
    """sha256 (hex) over size and content of a sparse file, at the cost of what is allocated.

    Blocks of 64 KiB that hold only zeros count for nothing, whether written or never: the same content gives the same
    hash, however the file system stores it.
    """
    size = file.stat().st_size
    digest = hashlib.sha256(f"{size}".encode())
    zeros = bytes(BLOCK)
    with file.open("rb", buffering=0) as stream:
        position = 0
        while position < size:
            try:
                data = os.lseek(stream.fileno(), position, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole up to the end
                break
            end = os.lseek(stream.fileno(), data, os.SEEK_HOLE)
            # Whole blocks, each once: two pieces of data may lie in the same one.
            position = max(position, data - data % BLOCK)
            while position < end:
                block = os.pread(stream.fileno(), BLOCK, position)
                if block != zeros[: len(block)]:
                    digest.update(b"%d:" % position)
                    digest.update(block)
                position += BLOCK
    return digest.hexdigest()

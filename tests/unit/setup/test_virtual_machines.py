"""What the virtual machines of tests/vm are chosen and compared by, without starting one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# tests/vm is no package: its modules find one another by their bare names, as pytest runs them.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm"))

import accelerator  # noqa: E402
from disk import BLOCK, Disk, content_hash  # noqa: E402

INTEL = "processor\t: 0\nflags\t\t: fpu vme vmx ssse3\nvmx flags\t: vnmi\n"
AMD = "processor\t: 0\nflags\t\t: fpu svm\n"
NEITHER = "processor\t: 0\nflags\t\t: fpu hypervisor svm_lock\nbugs\t\t: vmx\n"


@pytest.mark.parametrize(
    ("cpuinfo", "kvm_opens", "wanted", "expected"),
    [
        (INTEL, True, "", "kvm"),
        (AMD, True, "", "kvm"),
        (INTEL, False, "", "tcg"),
        (NEITHER, True, "", "tcg"),
        ("", True, "", "tcg"),
        (INTEL, True, "tcg", "tcg"),
        (NEITHER, False, "kvm", "kvm"),
    ],
)
def test_the_accelerator(cpuinfo, kvm_opens, wanted, expected):
    assert accelerator.choose(cpuinfo, kvm_opens, wanted) == expected


def test_an_unknown_accelerator_is_refused():
    with pytest.raises(ValueError, match="MLOPS_VM_ACCEL=xen: there are kvm and tcg"):
        accelerator.choose(INTEL, True, "xen")


@pytest.mark.parametrize(
    ("serial", "kind", "message"),
    [
        ("A", "floppy", "kind floppy"),
        ("A" * 21, "virtio", "20"),
        ("", "virtio", "20"),
        ("A-B", "nvme", "letters and digits"),
    ],
)
def test_a_disk_that_cannot_be(serial, kind, message):
    with pytest.raises(ValueError, match=message):
        Disk(serial, BLOCK, kind)


def written(path: Path, size: int, pieces: dict[int, bytes]) -> Path:
    """A sparse file with some bytes in it."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in sorted(pieces.items()):
            os.pwrite(file.fileno(), data, offset)
    return path


PIECES = st.dictionaries(st.integers(0, 6 * BLOCK), st.binary(min_size=1, max_size=64), max_size=4)


@settings(max_examples=50, deadline=None)
@given(pieces=PIECES, zeros=st.lists(st.integers(0, 6 * BLOCK), max_size=4))
def test_the_hash_of_a_disk_depends_on_its_content_only(tmp_path_factory, pieces, zeros):
    folder = tmp_path_factory.mktemp("disk")
    sparse = written(folder / "sparse", 8 * BLOCK, pieces)
    content = sparse.read_bytes()
    full = folder / "full"
    full.write_bytes(content)
    assert content_hash(sparse) == content_hash(full)
    # Zeros written where zeros are: other extents, the same content.
    with sparse.open("r+b") as file:
        for offset in zeros:
            if not any(content[offset : offset + 4096]):
                os.pwrite(file.fileno(), bytes(4096), offset)
    assert content_hash(sparse) == content_hash(full)


@settings(max_examples=50, deadline=None)
@given(pieces=PIECES, at=st.integers(0, 8 * BLOCK - 1))
def test_one_changed_byte_changes_the_hash_of_a_disk(tmp_path_factory, pieces, at):
    file = written(tmp_path_factory.mktemp("disk") / "disk", 8 * BLOCK, pieces)
    before = content_hash(file)
    with file.open("r+b") as stream:
        old = os.pread(stream.fileno(), 1, at)
        os.pwrite(stream.fileno(), bytes([old[0] ^ 1]), at)
    assert content_hash(file) != before


def test_the_same_bytes_elsewhere_or_a_larger_disk_are_another_content(tmp_path):
    first = content_hash(written(tmp_path / "a", 8 * BLOCK, {0: b"data"}))
    assert content_hash(written(tmp_path / "b", 8 * BLOCK, {BLOCK: b"data"})) != first
    assert content_hash(written(tmp_path / "c", 9 * BLOCK, {0: b"data"})) != first

"""Names and words around a module that is built before its package is installed."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_trial


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("nvidia-kernel-dkms=535.309.01-0+deb12u1", "nvidia-kernel-dkms_535.309.01-0+deb12u1_*.deb"),
        ("amdgpu-dkms=1:6.16.6.31400100-1", "amdgpu-dkms_1%3a6.16.6.31400100-1_*.deb"),
        ("nvidia-kernel-dkms", "nvidia-kernel-dkms_*_*.deb"),
    ],
)
def test_a_package_is_found_in_apts_cache(word: str, pattern: str) -> None:
    assert host_trial.package_file(word) == pattern


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('PACKAGE_NAME="nvidia-current"\nPACKAGE_VERSION="535.309.01"\n', ("nvidia-current", "535.309.01")),
        ("PACKAGE_NAME=nvidia\nPACKAGE_VERSION=580.178.04 # the driver's\n", ("nvidia", "580.178.04")),
        ("PACKAGE_VERSION='6.16.6'\nPACKAGE_NAME='amdgpu'\n", ("amdgpu", "6.16.6")),
        ('PACKAGE_NAME="$(basename $PWD)"\nPACKAGE_VERSION="1"\n', None),
        ('# PACKAGE_NAME="x"\nPACKAGE_VERSION="1"\n', None),
        ('PACKAGE_NAME="../../etc"\nPACKAGE_VERSION="1"\n', None),
        ("", None),
    ],
)
def test_a_module_is_named_by_its_configuration(text: str, found: tuple[str, str] | None) -> None:
    assert host_trial.named(text) == found


def test_the_first_error_is_told_and_not_the_last() -> None:
    log = (
        "  CC [M]  nvidia/nv-mmap.o\n"
        "nvidia/nv-mmap.c:33:5: warning: unused variable\n"
        "nvidia/nv-mmap.c:40:9: error: implicit declaration of function 'vm_flags_set'\n"
        "make[3]: *** [scripts/Makefile.build:255: nvidia/nv-mmap.o] Error 1\n"
    )
    assert host_trial.complaint(log) == "nvidia/nv-mmap.c:40:9: error: implicit declaration of function 'vm_flags_set'"


def test_without_an_error_the_end_is_told() -> None:
    assert host_trial.complaint("a\n\nb\nc\nd  e\n") == "b c d e"
    assert host_trial.complaint("") == ""

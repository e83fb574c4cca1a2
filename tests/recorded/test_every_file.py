"""No recorded file is forgotten: a test reads it, or the table below says why none does."""

from __future__ import annotations

import importlib
from pathlib import Path, PurePosixPath

import pytest

from .place import PLACE, names

UNUSED = {
    "INDEX.md": "says where the files are from",
    "storage/rhcip__smartctl*": "what disks say of themselves over SMART, which needs root and a package: no fact",
    "kfd-sysfs/rocmdp__topology-parsing/README.md": "a text",
    "kfd-sysfs/**/system_properties": "the whole machine's, which CPU and PCI facts tell",
    "kfd-sysfs/**/generation_id": "counts changes of the topology",
}
MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != "test_every_file")


def patterns() -> dict[str, str]:
    """Each pattern of files that a test module reads, with the module's name."""
    modules = {name: importlib.import_module(f".{name}", __package__) for name in MODULES}
    return {pattern: name for name, module in modules.items() for pattern in module.USES}


def test_each_file_is_read_or_named(recorded):
    used = set(names(*patterns()))
    unused = set(names(*UNUSED))
    assert not used & unused
    forgotten = set(names("**/*")) - used - unused
    assert not forgotten, f"no test reads these, and UNUSED does not say why: {sorted(forgotten)[:20]}"


@pytest.mark.parametrize("pattern", [*UNUSED, *patterns()])
def test_no_pattern_is_left_behind(pattern, recorded):
    assert names(pattern), f"{PurePosixPath(PLACE.name, pattern)} matches nothing"

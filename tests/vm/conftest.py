"""Fixtures of the tests on virtual machines."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from machine import Image
from rack import ROOT, Rack

_RACK = pytest.StashKey[Rack]()


def pytest_configure() -> None:
    """A polite end of pytest ends the machines too: as Ctrl-C does, it runs what the fixtures left to do."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> Image:
    """Debian 12, or the release that MLOPS_VM_RELEASE names; built if it is not in the cache. IMAGE of a test file names its kind."""
    release = getattr(request.module, "RELEASE", os.environ.get("MLOPS_VM_RELEASE", "12"))
    command = [ROOT / "scripts/vm_image.sh", release, getattr(request.module, "IMAGE", "")]
    script = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Image(Path(script.stdout.strip()))


@pytest.fixture(scope="module")
def rack(request: pytest.FixtureRequest, image: Image) -> Iterator[Rack]:
    """The machines of this test file."""
    name = request.path.stem.removeprefix("test_")
    rack = Rack(image, ROOT / ".build/vm" / name)
    request.session.stash[_RACK] = rack
    try:
        yield rack
    finally:
        if os.environ.get("MLOPS_VM_KEEP"):
            capture = request.config.pluginmanager.getplugin("capturemanager")
            with capture.global_and_fixture_disabled():
                print(f"\nkept (MLOPS_VM_KEEP):\n{rack.how_to_enter()}", flush=True)
        else:
            rack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failed test, show how the console of each machine ends."""
    report = yield
    if report.failed and _RACK in item.session.stash:
        for machine in item.session.stash[_RACK].machines.values():
            report.sections.append((f"console of {machine.name} ({machine.console})", machine.console_tail()))
    return report

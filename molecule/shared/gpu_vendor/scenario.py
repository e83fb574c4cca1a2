"""What the tests of the scenarios with GPUs share: runs of their converge playbook, and what the container shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from again import Again  # noqa: E402


class Scenario(Again):
    """The scenario's container, and its converge playbook to run again with other variables."""

    # Molecule has its own runs coloured, and these would inherit it.
    environment: ClassVar[dict[str, str]] = {"ANSIBLE_FORCE_COLOR": "false"}

    def machine(self, options: str = "") -> None:
        """Other GPUs in the simulated machine."""
        self.host.check_output(f"python3 /srv/machine.py {options}")

    def publish(self, *versions: str) -> None:
        """Another version of the driver in the vendor's repository, known to apt."""
        self.host.check_output(f"python3 /srv/vendor.py /srv/gpu-vendor {' '.join(versions)}")
        self.host.check_output("apt-get -q update")

    def packages(self) -> dict[str, str]:
        """Installed packages with their versions."""
        told = self.host.check_output("dpkg-query --show --showformat '${Package} ${Version} ${db:Status-Abbrev}\\n'")
        rows = [line.split() for line in told.splitlines()]
        return {row[0]: row[1] for row in rows if row[2][1] == "i"}

    def driver(self) -> str | None:
        """The version of the user space."""
        return self.packages().get("nvidia-driver-cuda")

    def called(self, program: str) -> list[str]:
        """How a stand-in of a program was called so far."""
        told = self.host.run("cat /var/log/gpu-vendor.log").stdout
        return [line for line in told.splitlines() if line.split()[0] == program]

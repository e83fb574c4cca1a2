"""Leaves a mark when a configuration is in force: a start and a reload of the unit wait for it."""

from __future__ import annotations

import time
from pathlib import Path

from buildbot.util.service import BuildbotService


class Loaded(BuildbotService):
    name = "mlops-loaded"

    # `at` differs with each reading of the configuration: Buildbot leaves a service alone whose arguments are the same.
    def __init__(self, path):
        super().__init__(path=path, at=time.time_ns())

    def reconfigService(self, path, at):
        """Other services come after this one: the mark waits until the master has gone through all of them."""
        if self.master.masterHeartbeatService.running and not self.master.reconfig_active:
            Path(path).write_text(f"{at}\n")
        else:
            self.master.reactor.callLater(0.1, self.reconfigService, path, at)

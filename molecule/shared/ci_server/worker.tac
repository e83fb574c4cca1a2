# What twistd starts as a worker of the tests.
import os
from pathlib import Path

from buildbot_worker.bot import Worker
from twisted.application import service

password = (Path(os.environ.pop("CREDENTIALS_DIRECTORY")) / "password").read_text().strip()
application = service.Application("buildbot-worker")
Worker(
    os.environ.get("MASTER", "ci.example.test"),
    9989,
    os.environ["WORKER"],
    password,
    os.environ["HOME"],
    keepalive=30,
    umask=0o077,
    maxdelay=5,
    useTls=True,
).setServiceParent(application)

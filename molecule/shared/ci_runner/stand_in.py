"""A STAND-IN for the programs of runners: it runs no job. It notes how it was called, tells the contract server that it is there, and waits.

While there is a file `job` in its folder it behaves as if it had a job: told to end, it ends when the file is gone.
"""

import json
import os
import re
import signal
import sys
import time
import urllib.request
from pathlib import Path

import tomllib

HOME = Path.cwd()
NAME = Path(sys.argv[0]).name


def tell(url, data):
    base = re.match(r"https?://[^/]+", url)[0]
    path = data.pop("path", "/_host")
    text = json.dumps(data).encode()
    request = urllib.request.Request(base + path, text, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def note():
    # Not the values: a token is in some of them.
    line = {
        "program": NAME,
        "argv": sys.argv[1:],
        "variables": sorted(os.environ),
        "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    with (HOME / "called.jsonl").open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def online():
    """Tell the contract server, as what this runner is known by."""
    if "run" in sys.argv:
        config = tomllib.loads(Path(option("--config")).read_text())
        tell(config["runners"][0]["url"], {"path": "/api/v4/runners/verify", "token": config["runners"][0]["token"]})
    elif "daemon" in sys.argv and (HOME / ".runner").exists():
        runner = json.loads((HOME / ".runner").read_text())
        tell(runner["address"], {"online": runner["name"]})
    elif "daemon" in sys.argv:
        text = Path(option("-c")).read_text()
        tell(re.search(r'url: "(\S+)"', text)[1], {"online": re.search(r'uuid: "(\S+)"', text)[1]})
    else:
        runner = json.loads((HOME / ".runner").read_text())
        tell(runner["gitHubUrl"], {"online": runner["agentName"]})


def register():
    """Gitea's `register`, or GitHub's config.sh."""
    given = os.environ
    if NAME == "config.sh":
        token, url = given["ACTIONS_RUNNER_INPUT_TOKEN"], given["ACTIONS_RUNNER_INPUT_URL"]
        name, labels = given["ACTIONS_RUNNER_INPUT_NAME"], given["ACTIONS_RUNNER_INPUT_LABELS"]
    else:
        token, url, name, labels = (
            given["GITEA_RUNNER_REGISTRATION_TOKEN"],
            option("--instance"),
            option("--name"),
            option("--labels"),
        )
    answer = tell(url, {"register": name, "token": token, "labels": labels})
    if "refused" in answer:
        sys.exit(answer["refused"])
    data = {"agentId": answer["id"], "agentName": name, "gitHubUrl": url}
    if NAME != "config.sh":
        data = {
            "id": answer["id"],
            "uuid": f"uuid-{answer['id']}",
            "name": name,
            "token": "canary-of-the-runner",
            "address": url,
            "labels": [],
        }
    (HOME / ".runner").write_text(json.dumps(data))
    (HOME / ".runner").chmod(0o600)


def stay():
    told = []
    for one in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(one, lambda number, _frame: told.append(number))
    seen = None
    while not told or (HOME / "job").exists():
        # As GitLab's runner does: it reads its file again when that changes.
        now = Path(option("--config")).stat().st_mtime_ns if "run" in sys.argv else 0
        if now != seen:
            seen = now
            online()
        time.sleep(0.2)


note()
if NAME == "config.sh" or "register" in sys.argv:
    register()
else:
    stay()

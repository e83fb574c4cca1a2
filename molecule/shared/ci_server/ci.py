"""A developer and an administrator of the CI server, for its tests: pushes, and what REST tells of builds."""

from __future__ import annotations

import base64
import http.client
import json
import re
import shlex
import socket
import ssl
import time
from pathlib import Path

NAME = "ci.example.test"
PORT = 8010
WORKERS_PORT = 9989
CA = "/etc/mlops-onprem/tls/ci_server/ca.pem"
SUCCESS, WARNINGS, FAILURE, SKIPPED, EXCEPTION, RETRY, CANCELLED = range(7)

PIPELINE = """
promote: main
timeout: 5m
artifacts: [out/*]
steps:
  - name: train
    run: |
      mkdir out
      echo "$GREETING from $MLOPS_BRANCH" > out/model.txt
  - name: evaluate
    run: test ! -e bad
  - name: promote
    promote: true
    run: echo promoted
"""


def shell(host, command, code=0):
    """What it says; `code` is how it has to end, None where that is not known."""
    result = host.run(command)
    assert code is None or result.rc == code, f"{command}: {result.rc}\n{result.stdout}\n{result.stderr}"
    return result.stdout.strip()


class Server:
    """The server as a person sees it: the real port, the real certificate, a login."""

    def __init__(self, host, secrets: Path):
        self.host, self.secrets = host, secrets
        self.address = shell(host, "hostname -I").split()[0]
        self.context = ssl.create_default_context(cadata=shell(host, f"cat {CA}"))

    def password(self, name):
        return (self.secrets / f"ci_server_{name}").read_text().strip()

    def connect(self, port=PORT, context=None, name=NAME):
        plain = socket.create_connection((self.address, port), timeout=10)
        return (context or self.context).wrap_socket(plain, server_hostname=name)

    def ask(self, path, method="GET", body=None, login=None, host=f"{NAME}:{PORT}", **headers):
        """Status, headers and text of an answer. login: name and password; the administrator's when not given, () for none."""
        connection = http.client.HTTPConnection(self.address, PORT, timeout=10)
        connection.sock = self.connect()
        login = ("admin", self.password("admin_password")) if login is None else login
        if login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        try:
            connection.request(method, path, body, {"Host": host, **headers})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace")
        finally:
            connection.close()

    def get(self, path):
        try:
            status, _headers, text = self.ask(f"/api/v2/{path}")
        except TimeoutError:
            # The way from the controller into a container loses an answer in some hundreds.
            status, _headers, text = self.ask(f"/api/v2/{path}")
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def control(self, path, method, login=None, **parameters):
        """A call that changes something, as the page makes it: with the session that the page has begun."""
        _status, headers, _text = self.ask("/", login=login)
        cookie = headers.get("Set-Cookie", "").split(";")[0]
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1})
        status, _headers, text = self.ask(
            f"/api/v2/{path}", "POST", body, login=login, **{"Content-Type": "application/json", "Cookie": cookie}
        )
        return status, text

    def builds(self, project, **about):
        """Builds, the first one first, with their properties."""
        found = self.get(f"builders/{project}/builds?property=*&order=buildid")["builds"]
        return [
            build
            for build in found
            if all(build["properties"].get(name, [None])[0] == value for name, value in about.items())
        ]

    def wait(self, what, seconds=90):
        """The first true answer of `what`, asked again and again."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = what()
            except (OSError, AssertionError, http.client.HTTPException):
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.3)

    def built(self, project, revision, seconds=60):
        """The build of a commit, when it is over."""
        return self.wait(
            lambda: next(
                (one for one in self.builds(project, revision=revision) if one["complete"] and one["results"] != RETRY),
                None,
            ),
            seconds,
        )

    def steps(self, build):
        return self.get(f"builds/{build['buildid']}/steps")["steps"]

    def log(self, build, step):
        """All that a step said."""
        found = next(one for one in self.steps(build) if one["name"] == step)
        logs = self.get(f"steps/{found['stepid']}/logs")["logs"]
        chunks = [self.get(f"logs/{log['logid']}/contents")["logchunks"] for log in logs]
        # Lines of a log of a command begin with a letter that says where they came from.
        return "".join(chunk["content"] for found in chunks for chunk in found)

    def connected(self, worker):
        found = self.get(f"workers/{worker}")["workers"][0]
        return bool(found["connected_to"])


class Developer:
    """Somebody with a key, who works in a clone on the server's host."""

    def __init__(self, host, key: Path):
        self.host = host
        text = base64.b64encode(key.read_bytes()).decode()
        shell(
            host,
            f"install -d -m 0700 /root/work && echo {text} | base64 -d > /root/work/key && chmod 0600 /root/work/key",
        )

    def run(self, command, code=0, where="/root/work"):
        ssh = "ssh -i /root/work/key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
        words = f"cd {where} && export GIT_SSH_COMMAND={shlex.quote(ssh)} HOME=/root && {command}"
        result = self.host.run(f"bash -euc {shlex.quote(words)}")
        assert code is None or result.rc == code, f"{command}: {result.rc}\n{result.stdout}\n{result.stderr}"
        return (result.stdout + result.stderr).strip()

    def clone(self, project):
        self.run(
            f"rm -rf {project} && git clone -q ssh://git@{NAME}/{project}.git {project}"
            f" && cd {project} && git config user.name Dev && git config user.email dev@example.test"
            " && git checkout -q -B main $(git rev-parse -q --verify origin/main || true)"
        )
        return f"/root/work/{project}"

    def commit(self, project, branch="main", push=True, **files):
        """A commit with these files ("" removes one) on a branch, as its revision. The pipeline file is `pipeline`."""
        commands = [f"git checkout -q {branch} 2> /dev/null || git checkout -q -b {branch}"]
        for name, content in files.items():
            path = ".mlops/pipeline.yml" if name == "pipeline" else name
            data = base64.b64encode(content.encode()).decode()
            commands.append(f"mkdir -p .mlops && echo {data} | base64 -d > {path}" if content else f"rm -f {path}")
        commands += ["git add -A", "git commit -q --allow-empty -m 'a change'"]
        if push:
            commands.append(f"git push -q origin {branch}")
        said = self.run(" && ".join([*commands, "git rev-parse HEAD"]), where=f"/root/work/{project}")
        # Among what the server says of the push.
        return re.search(r"^[0-9a-f]{40}$", said, re.MULTILINE)[0]

"""A client of the store, from this computer: the collection's own file, which needs no package, and a few words around it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

FILES = Path(__file__).resolve().parents[3] / "roles/common/files"
NAME = "s3.example.test"
PORT = 8333
# What is known to destroy data where nobody asks for a name, and what reads it.
PATHS = (
    "/",
    "/dir/assign",
    "/dir/lookup?volumeId=1",
    "/dir/status",
    "/col/delete?collection=models",
    "/vol/vacuum",
    "/vol/grow?count=1",
    "/submit",
    "/cluster/status",
    "/status",
    "/ui/index.html",
    "/buckets/models/canary",
    "/buckets/models/?recursive=true",
    "/models/canary",
    "/models?versioning",
    "/models?lifecycle",
    "/etc/iam/identity.json",
)


def load(name):
    """A file as a module; what it does when it is run by itself is left out."""
    text = (FILES / f"{name}.py").read_text()
    assert text.rstrip().endswith("\nmain()")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
    sys.modules[name] = module
    exec(compile(text.rstrip().removesuffix("main()"), name, "exec"), module.__dict__)  # noqa: S102
    return module


s3 = load("s3")


class Store(s3.Client):
    """One user on one host. `code` is what S3 answers to something that it refuses, "" where it does it."""

    def __init__(self, address, ca, access, secret, timeout=60):
        super().__init__(
            {
                "url": f"https://{NAME}:{PORT}",
                "address": address,
                "access_key": access,
                "secret_key": secret,
                "ca": ca,
                "request_timeout": timeout,
            }
        )

    def code(self, *words, **more):
        try:
            self.ask(*words, **more)
        except s3.Refused as error:
            return error.code
        return ""


def shell(host, command, code=0):
    result = host.run(command)
    assert code is None or result.rc == code, f"{command}: {result.rc}\n{result.stdout}\n{result.stderr}"
    return result.stdout.strip()


def ports(host):
    """Every socket that listens: (address, port)."""
    return {
        (line.split()[3].rsplit(":", 1)[0].strip("[]"), int(line.split()[3].rsplit(":", 1)[1]))
        for line in shell(host, "ss -Hltn").splitlines()
    }


# Runs on the host, since most ports are on its own loopback: every port, path, method and scheme. Prints what was answered with success.
STRANGER = """
import http.client, itertools, json, ssl, sys
ports, paths, certificate = json.loads(sys.argv[1])
found = []
for (address, port), secure in itertools.product(ports, (False, True)):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate + "/cert.pem", certificate + "/key.pem")
    for path, method in itertools.product(paths, ("GET", "PUT", "POST", "DELETE")):
        try:
            connection = (http.client.HTTPSConnection(address, port, timeout=5, context=context) if secure
                          else http.client.HTTPConnection(address, port, timeout=5))
            connection.request(method, path, b"x" if method in ("PUT", "POST") else None)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            # No TLS, or no certificate, or no HTTP: nobody answers this on any path.
            break
        finally:
            connection.close()
        if status < 400:
            found.append([port, method, path, status])
print(json.dumps(found))
"""


def stranger(host, where, certificate=""):
    question = json.dumps([sorted(where), PATHS, certificate])
    shell(host, f"cat > /run/stranger.py <<'END'\n{STRANGER}END")
    return json.loads(shell(host, f"python3 /run/stranger.py '{question}'"))

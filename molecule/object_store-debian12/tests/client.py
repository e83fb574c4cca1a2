"""A client of the store, from this computer: the collection's own file, which needs no package, and a few words around it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

FILES = Path(__file__).resolve().parents[3] / "roles/common/files"
NAME = "s3.example.test"
PORT = 8333


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

"""Ask the CI for what needs proxy, TLS, login, server and database, and its workers' port for TLS. Reads JSON; one line says what is wrong."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import sys
import time


def secure(wanted, port):
    """A connection to the address, with the name in the handshake: the host's own DNS need not know the name yet."""
    plain = socket.create_connection((wanted["address"], port), timeout=15)
    return ssl.create_default_context(cafile=wanted["ca"]).wrap_socket(plain, server_hostname=wanted["name"])


def ask(wanted, path):
    login = base64.b64encode(f"{wanted['user']}:{wanted['password']}".encode()).decode()
    connection = http.client.HTTPConnection(wanted["address"], wanted["port"])
    connection.sock = secure(wanted, wanted["port"])
    headers = {"Host": f"{wanted['name']}:{wanted['port']}", "Authorization": f"Basic {login}"}
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def lacking(wanted):
    """What the server does not have although it is configured; "" when all is there."""
    for kind in ("builders", "workers"):
        status, text = ask(wanted, f"/api/v2/{kind}?field=name")
        if status != 200:
            return status, f"it answered {status} to {kind}: {' '.join(text.split())[:200]}"
        missing = set(wanted[kind]) - {entry["name"] for entry in json.loads(text)[kind]}
        if missing:
            return status, f"it has no {', '.join(sorted(missing))} among its {kind}"
    secure(wanted, wanted["worker_port"]).close()
    return 200, ""


def main():
    wanted = json.load(sys.stdin)
    deadline = time.monotonic() + wanted["timeout"]
    while True:
        try:
            status, problem = lacking(wanted)
            if not problem:
                print("ready")
                return
            if status == 401:
                print("login")
                sys.exit(1)
        except ssl.SSLCertVerificationError as error:
            print(f"its certificate is not accepted: {error.verify_message}")
            sys.exit(1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            print(problem)
            sys.exit(1)
        time.sleep(1)


main()

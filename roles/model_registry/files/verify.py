"""Ask the registry something that needs proxy, TLS, login, server and database. Reads JSON; one line says what is wrong.

/health is not asked: it stays green without the database.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import sys
import time


def ask(wanted):
    login = base64.b64encode(f"{wanted['user']}:{wanted['password']}".encode()).decode()
    port = wanted["port"]
    headers = {
        "Host": wanted["name"] if port == 443 else f"{wanted['name']}:{port}",
        "Authorization": f"Basic {login}",
        "Content-Type": "application/json",
    }
    # The address, and the name in the handshake: the host's own DNS need not know the name yet.
    with socket.create_connection((wanted["address"], port), timeout=15) as plain:
        connection = http.client.HTTPConnection(wanted["address"], port)
        connection.sock = plain
        if wanted.get("tls", True):
            context = ssl.create_default_context(cafile=wanted["ca"])
            connection.sock = context.wrap_socket(plain, server_hostname=wanted["name"])
        connection.request("POST", "/api/2.0/mlflow/experiments/search", json.dumps({"max_results": 1}), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        if answer.status != 200 or not wanted.get("artifacts"):
            return answer.status, text
        connection.request("GET", "/api/2.0/mlflow-artifacts/artifacts?path=mlops-onprem-nothing", headers=headers)
        answer = connection.getresponse()
        return answer.status, f"for its artifacts: {answer.read().decode(errors='replace')}"


def main():
    wanted = json.load(sys.stdin)
    deadline = time.monotonic() + wanted["timeout"]
    while True:
        try:
            status, text = ask(wanted)
            problem = f"it answered {status}: {' '.join(text.split())[:200]}"
            if status == 200:
                print("ready")
                return
            if status in (401, 403):
                print("login" if status == 401 else problem)
                sys.exit(1)
        except ssl.SSLCertVerificationError as error:
            print(f"its certificate is not accepted: {error.verify_message}")
            sys.exit(1)
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            print(problem)
            sys.exit(1)
        time.sleep(1)


main()

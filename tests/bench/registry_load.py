"""What TLS, login and PostgreSQL cost, and what leaving out brings: the lab's registry against MLflow started by hand.

    registry_load.py        (prints the rows alone; run.py writes them into docs/performance.md. Needs the lab.)

Both are the same installation on the same host. "By hand" is `mlflow server` with nothing but a port: SQLite, four workers, job
runners, no login, no TLS. Sixteen clients with kept connections ask ours and theirs in turns; ours is asked by somebody with rights of
his own. A second one by hand differs in its store only: it gets a database of its own in the registry's PostgreSQL, so that what TLS
and login cost is not hidden behind SQLite. There, ours is asked by the administrator: for all others, MLflow looks up the run, its
experiment and the roles at each request. What that costs is told beside it; by hand, there are no rights.

Memory is the sum of the proportional set sizes. What two processes share is split between them, and both sides run the same
libraries: theirs is taken while ours runs, too, which is too little, and ours when theirs has ended, which is all of it.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOST = "mlops-lab-registry1"
ADMIN_PASSWORD = ROOT / "inventories/lab/.mlops/secrets/model_registry_admin_password"
CLIENT = (Path(__file__).parent / "load_client.py").read_text()
CLIENTS = 16
SECONDS = 8
ROUNDS = 5
CALLS = {"log-metric": "log_metric", "log-batch": "log_batch of 100 metrics"}
# At most a tenth less requests in a second: as the largest ratio of the seconds that a request takes.
SLOWER = 1 / 0.9
MEMORY = 0.5
FOLDER = "/var/lib/mlflow/tmp/by-hand"
PORT = 5999
DATABASE = "bench_by_hand"
STARTS = 180
CALM = 20
BENCH_USER = "bench-load"


def on_host(*command: str, text: str = "", check: bool = True) -> str:
    done = subprocess.run(
        ["docker", "exec", "-i", HOST, *command], input=text, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        sys.exit(f"error: on {HOST}, {command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-1000:]}")
    return done.stdout


def ours(name: str, password: str) -> dict[str, Any]:
    """Where the lab's registry is asked: at its real address, so through nginx with TLS, and with a login."""
    return {
        "scheme": "https",
        "host": on_host("hostname", "-I").split()[0],
        "port": 443,
        # Python's client asks for the address, for which the certificate is, too.
        "name": "localhost",
        "ca": "/etc/mlops-onprem/tls/model_registry/ca.pem",
        "login": "Basic " + b64encode(f"{name}:{password}".encode()).decode(),
    }


def theirs() -> dict[str, Any]:
    return {"scheme": "http", "host": "127.0.0.1", "port": PORT, "name": f"127.0.0.1:{PORT}", "ca": "", "login": ""}


@contextlib.contextmanager
def user() -> Iterator[tuple[str, str]]:
    """Somebody without any rights but on what he makes himself."""
    password = secrets.token_hex(16)
    admin = ours("admin", ADMIN_PASSWORD.read_text().strip())

    def ask(method: str, path: str, body: dict[str, str], check: bool = True) -> None:
        script = (
            "import http.client, json, ssl, sys; w = json.load(sys.stdin); "
            "c = http.client.HTTPSConnection(w['host'], w['port'], context=ssl.create_default_context(cafile=w['ca'])); "
            "c.request(w['method'], '/api/2.0/mlflow/users/' + w['path'], json.dumps(w['body']), "
            "{'Authorization': w['login'], 'Content-Type': 'application/json', 'Host': w['name']}); "
            "a = c.getresponse(); sys.exit(0 if a.status == 200 else f'{a.status}: {a.read()[:300]}')"
        )
        question = {**admin, "method": method, "path": path, "body": body}
        on_host("python3", "-c", script, text=json.dumps(question), check=check)

    ask("DELETE", "delete", {"username": BENCH_USER}, check=False)
    ask("POST", "create", {"username": BENCH_USER, "password": password})
    try:
        yield BENCH_USER, password
    finally:
        ask("DELETE", "delete", {"username": BENCH_USER})


def load(target: dict[str, Any], call: str) -> dict[str, Any]:
    question = {**target, "call": call, "clients": CLIENTS, "seconds": SECONDS}
    found: dict[str, Any] = json.loads(on_host("python3", "-c", CLIENT, text=json.dumps(question)))
    # Nothing of ours may fail; what theirs loses is told.
    if found["failed"] and target["login"]:
        sys.exit(f"error: {found['failed']} failed requests of {call} at {target['host']}: {found['why']}")
    return found


def processes_below(pid: int) -> list[int]:
    """A process and all that it started."""
    parents = [line.split() for line in on_host("ps", "-eo", "pid=,ppid=").splitlines()]
    found = [pid]
    for one in found:
        found += [int(child) for child, parent in parents if int(parent) == one]
    return found


def processes_of(unit: str) -> list[int]:
    main = int(on_host("systemctl", "show", "-P", "MainPID", unit))
    return processes_below(main) if main else []


def pss_mib(pids: list[int]) -> float:
    text = on_host("sh", "-c", 'for p; do cat "/proc/$p/smaps_rollup" 2>/dev/null; done; true', "sh", *map(str, pids))
    return sum(int(value) for value in re.findall(r"^Pss:\s+(\d+) kB", text, flags=re.MULTILINE)) / 1024


def registry_mib() -> tuple[float, float, float]:
    """MLflow, nginx, and all of PostgreSQL."""
    database = on_host("systemctl", "list-units", "--plain", "--no-legend", "postgresql@*").split()[0]
    return pss_mib(processes_of("mlflow")), pss_mib(processes_of("nginx")), pss_mib(processes_of(database))


@contextlib.contextmanager
def by_hand(*options: str) -> Iterator[int]:
    """`mlflow server`, as the manual's first page starts it, in an empty folder. Its process, while it runs."""
    on_host("sh", "-c", f"rm -rf {FOLDER} && install -d -o mlflow -g mlflow {FOLDER}")
    # Without the registry's environment, in which nothing would be the default.
    script = f'cd {FOLDER} && echo $$ > pid && exec env -i PATH="$PATH" HOME={FOLDER} "$@" > log 2>&1'
    command = ["/opt/mlflow/current/bin/mlflow", "server", "--port", str(PORT), *options]
    subprocess.run(
        ["docker", "exec", "--detach", "--user", "mlflow", HOST, "sh", "-c", script, "sh", *command], check=True
    )
    deadline = time.monotonic() + STARTS
    probe = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/health', timeout=5)"
    while subprocess.run(["docker", "exec", HOST, "python3", "-c", probe], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            sys.exit(f"error: MLflow by hand did not start: {on_host('tail', '-n', '20', f'{FOLDER}/log')}")
        time.sleep(1)
    pid = int(on_host("cat", f"{FOLDER}/pid"))
    # The first worker answers; the others and the job runners still start, and would take the processors from both sides.
    count, since = 0, time.monotonic()
    while time.monotonic() - since < CALM and time.monotonic() < deadline:
        time.sleep(1)
        if (now := len(processes_below(pid))) != count:
            count, since = now, time.monotonic()
    try:
        yield pid
    finally:
        pids = processes_below(pid)
        on_host("kill", "-TERM", str(pid), check=False)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and on_host("sh", "-c", f"kill -0 {pid} 2>/dev/null && echo there || true"):
            time.sleep(1)
        # Job runners may outlive the server: by their own numbers, and only while they are what they were.
        on_host(
            "sh",
            "-c",
            'for p; do [ "$(stat -c %U /proc/$p 2>/dev/null)" != mlflow ] || kill -KILL $p; done',
            "sh",
            *map(str, pids),
        )
        on_host("rm", "-rf", FOLDER)


@contextlib.contextmanager
def database() -> Iterator[str]:
    """An empty one in the registry's own PostgreSQL."""
    psql = (
        "runuser",
        "-u",
        "postgres",
        "--",
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--set",
        "ON_ERROR_STOP=1",
        "--dbname=postgres",
    )
    on_host(*psql, text=f"DROP DATABASE IF EXISTS {DATABASE};\nCREATE DATABASE {DATABASE} OWNER mlflow;\n")
    try:
        yield f"postgresql+psycopg2://mlflow@/{DATABASE}?host=/var/run/postgresql"
    finally:
        on_host(*psql, text=f"DROP DATABASE {DATABASE} WITH (FORCE);\n")


def compare(mine: dict[str, Any], call: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each round's two results, after one that does not count. Who comes first changes."""
    rounds = []
    load(theirs(), call)
    load(mine, call)
    for number in range(ROUNDS):
        if number % 2:
            other = load(theirs(), call)
            rounds.append((load(mine, call), other))
        else:
            first = load(mine, call)
            rounds.append((first, load(theirs(), call)))
    return rounds


def rate(found: dict[str, Any]) -> float:
    return float(found["requests"] / found["seconds"])


def speed_row(
    call: str, against: str, rounds: list[tuple[dict[str, Any], dict[str, Any]]]
) -> tuple[str, str, float, str, float, str]:
    sides = list(zip(*rounds))
    rates = [statistics.median(rate(found) for found in side) for side in sides]
    tails = [statistics.median(found["p99"] for found in side) for side in sides]
    client = max(found["processors"] for side in sides for found in side)
    lost = sum(found["failed"] for found in sides[1])
    return (
        f"seconds of a {CALLS[call]} through nginx with TLS and login, {CLIENTS} clients",
        against,
        statistics.median(rate(other) / rate(mine) for mine, other in rounds),
        "x",
        SLOWER,
        f"{rates[0]:.0f} and {rates[1]:.0f} requests/s; p99 {tails[0]:.0f} and {tails[1]:.0f} ms; "
        f"the clients took {client:.2f} processors" + (f"; {lost} requests by hand failed" if lost else ""),
    )


def rows() -> Iterator[tuple[str, str, float, str, float, str]]:
    """Of each row: what, against what, measured, unit, budget, detail."""
    with user() as login:
        mine = ours(*login)
        memory = {}
        plain = "`mlflow server` by hand: SQLite, 4 workers, job runners, no TLS, no login"
        with by_hand() as pid:
            found = {call: compare(mine, call) for call in CALLS}
            memory[plain] = pss_mib(processes_below(pid))
        for call in CALLS:
            yield speed_row(call, plain, found[call])
        same_store = "the same by hand, with PostgreSQL as its store"
        admin = ours("admin", ADMIN_PASSWORD.read_text().strip())
        with database() as uri, by_hand("--backend-store-uri", uri) as pid:
            found = {call: compare(admin, call) for call in CALLS}
            looked_up = {call: statistics.median(rate(load(mine, call)) for _unused in range(ROUNDS)) for call in CALLS}
            memory[same_store] = pss_mib(processes_below(pid))
        for call in CALLS:
            row = speed_row(call, same_store, found[call])
            yield (
                *row[:5],
                f"{row[5]}; asked by the administrator; by a user, whose rights are looked up, {looked_up[call]:.0f} requests/s",
            )
        parts = registry_mib()
    for against, other in memory.items():
        yield (
            "memory of the registry after that: MLflow, nginx and PostgreSQL",
            against + ("; without PostgreSQL's own processes" if against == same_store else ""),
            sum(parts) / other,
            "x",
            MEMORY,
            f"{sum(parts):.0f} MiB ({', '.join(f'{part:.0f}' for part in parts)}) and {other:.0f} MiB; proportional set sizes",
        )


if __name__ == "__main__":
    for row in rows():
        print(row)

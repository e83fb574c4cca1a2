"""Measure the budgets on the lab and write docs/performance.md.

    run.py --output FILE

Every result is a ratio of two things measured in the same run, in turns, so that a busy computer slows both. A ratio over
its budget ends with exit code 1; the page is written all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import facts
import file_systems
import registry_load

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories/lab"
GIB = 2**30
ROUNDS = 5


@dataclass
class Row:
    """One line of the table: what was measured against what, the budget as a largest ratio (or number)."""

    what: str
    against: str
    measured: float
    unit: str
    budget: float
    detail: str

    @property
    def kept(self) -> bool:
        return self.measured <= self.budget


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def in_turns(first: Callable[[], object], second: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of two actions, measured alternately."""
    pairs = [(seconds(first), seconds(second)) for _unused in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def run(*command: str | Path, standard_input: str = "", **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(
            f"error: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return done.stdout


def on_registry(*command: str) -> str:
    return run("docker", "exec", "mlops-lab-registry1", *command)


def adhoc(module: str, arguments: str = "", python: str = sys.executable) -> None:
    run(
        "ansible",
        "localhost",
        "--connection=local",
        f"--module-name={module}",
        f"--args={arguments}",
        "-e",
        f"ansible_python_interpreter={python}",
    )


# Runs on the registry's host, so that the client is the same with and without the proxy. Blocks of 1 MiB, as MLflow's own
# client sends them; the login comes on the standard input.
PUT = """
import http.client, os, ssl, sys
scheme, host, port, name, path = sys.argv[1:]
context = ssl.create_default_context(cafile="/etc/mlops-onprem/tls/model_registry/ca.pem")
connection = (
    http.client.HTTPSConnection(host, int(port), context=context, blocksize=2**20)
    if scheme == "https" else http.client.HTTPConnection(host, int(port), blocksize=2**20)
)
headers = {"Authorization": sys.stdin.read().strip(), "Host": name}
with open("/var/lib/mlflow/bench-source", "rb") as body:
    headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
    connection.request("PUT", path, body, headers)
answer = connection.getresponse()
sys.exit(0 if answer.status == 200 else f"{answer.status}: {answer.read()[:300]}")
"""
BLOB = "/api/2.0/mlflow-artifacts/artifacts/bench/blob"


def put(scheme: str, host: str, port: int) -> None:
    password = (INVENTORY / ".mlops/secrets/model_registry_admin_password").read_text().strip()
    login = "Basic " + b64encode(f"admin:{password}".encode()).decode()
    command = ("docker", "exec", "-i", "mlops-lab-registry1", "python3", "-c", PUT)
    run(*command, scheme, host, str(port), "localhost", BLOB, standard_input=login)


def worker_memory_mib() -> float:
    """Sum of the proportional set sizes of the service's processes."""
    pids = on_registry(
        "sh",
        "-c",
        "cat /sys/fs/cgroup/systemd$(systemctl show -P ControlGroup mlflow)/cgroup.procs 2>/dev/null || pgrep -u mlflow",
    ).split()
    total = 0
    for pid in pids:
        text = on_registry("sh", "-c", f"cat /proc/{pid}/smaps_rollup 2>/dev/null || true")
        total += sum(int(value) for value in re.findall(r"^Pss:\s+(\d+) kB", text, flags=re.MULTILINE))
    return total / 1024


def upload_rows() -> list[Row]:
    """A GiB through the proxy: against the disk, and against MLflow without the proxy, which bounds it on a fast disk."""
    on_registry("sh", "-c", f"head -c {GIB} /dev/urandom > /var/lib/mlflow/bench-source")
    address = on_registry("hostname", "-I").split()[0]
    copy = "cp /var/lib/mlflow/bench-source /var/lib/mlflow/bench-copy && sync /var/lib/mlflow/bench-copy"
    before = worker_memory_mib()
    through, copied = in_turns(lambda: put("https", address, 443), lambda: on_registry("sh", "-c", copy), rounds=3)
    growth = worker_memory_mib() - before
    again, direct = in_turns(lambda: put("https", address, 443), lambda: put("http", "127.0.0.1", 5000), rounds=3)
    on_registry(
        "rm", "-rf", "/var/lib/mlflow/bench-source", "/var/lib/mlflow/bench-copy", "/var/lib/mlflow/artifacts/bench"
    )
    slower = max(copied, direct)
    return [
        Row(
            "upload of 1 GiB through nginx and MLflow",
            "the slower of: cp and sync on the same disk, the same upload to MLflow without the proxy",
            (again if slower == direct else through) / slower,
            "x",
            2.0,
            f"{through:.1f} s; cp and sync {copied:.1f} s; without the proxy {direct:.1f} s",
        ),
        Row(
            "memory of the MLflow service after three such uploads",
            "before them",
            growth,
            "MiB",
            50,
            f"{before:.0f} MiB before",
        ),
    ]


def site_rows() -> list[Row]:
    lab = ROOT / "scripts/lab.sh"
    run(lab, "down")
    run(lab, "containers")
    fresh = seconds(lambda: run(lab, "play", "playbooks/site.yml"))
    output = ""

    def again() -> None:
        nonlocal output
        output = run(lab, "play", "playbooks/site.yml", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")

    second = min(seconds(again) for _unused in range(2))
    sys.path.insert(0, str(ROOT / "tests/lab"))
    from counting import executions

    counts = executions(output)
    return [
        Row(
            "second site.yml over the lab",
            "the fresh run",
            second / fresh,
            "x",
            0.2,
            f"{second:.0f} s and {fresh:.0f} s",
        ),
        Row(
            "module executions of the second run, five hosts",
            "-",
            sum(counts.values()),
            "executions",
            250,
            json.dumps(counts, sort_keys=True),
        ),
    ]


def assessment_rows() -> list[Row]:
    """10,000 synthetic hosts from snapshots to report files; the budgets are absolute, as the design states them."""
    with tempfile.TemporaryDirectory() as folder:
        told = json.loads(run(sys.executable, ROOT / "tests/bench/assessment.py", "10000", folder))
    detail = f"{told['rows']} rows; the first page has {told['index_bytes'] / 2**20:.1f} MiB"
    return [
        Row("assessment of 10,000 hosts, time", "-", told["seconds"], "s", 60, detail),
        Row("assessment of 10,000 hosts, peak memory", "-", told["kib"] / 2**10, "MiB", 1024, detail),
    ]


def page(rows: list[Row]) -> str:
    core = run("ansible", "--version").splitlines()[0]
    lines = [
        "# Performance",
        "",
        "Written by `make bench`; do not edit. Ratios of two things measured in turns in the same run, medians; seconds are shown",
        "for scale only and belong to the computer that ran it.",
        "",
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, {core}.",
        "",
        "| what | against | measured | budget | kept | detail |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.what} | {row.against} | {row.measured:.2f} {row.unit} | {row.budget:g} {row.unit} | {'yes' if row.kept else '**no**'} | {row.detail} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    rows = [
        *(Row(*fields) for fields in facts.rows(adhoc)),
        *assessment_rows(),
        *site_rows(),
        *upload_rows(),
        *(Row(*fields) for fields in registry_load.rows()),
        *(Row(*fields) for fields in file_systems.rows()),
    ]
    options.output.write_text(page(rows))
    print(options.output.read_text())
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

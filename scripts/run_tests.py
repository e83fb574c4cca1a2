"""Run the test tiers and end with one line: `N passed, N failed`.

    run_tests.py unit lint roles vm lab        (scripts/test.sh sets up what they need first)

A tier is a list of jobs. A job is one command with a log of its own; what it counts comes from the JUnit files that it
writes, or is 1 for its exit code. Two jobs run at a time, the longest first; those that need hosts begin when unit and lint
have ended, since these read the checkout that the others write to. Environment: ROLE limits the roles tier to one
role or scenario, VM the vm tier to one file.

Some of the work takes turns, so that a run stays bearable however many roles there are. Each role's first scenario always
runs; of the further ones (the second release, upgrades, ...) and of the virtual machines' files, a quarter, and of the
mutations one a scenario: others with the next commit. The output names what waits. ROLE and VM run all of what they name,
MLOPS_ALL=1 runs everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from log_excerpt import excerpt
from run_scenario import commits_so_far

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
LOGS = BUILD / "logs"
JUNIT = BUILD / "junit"
FIRST_RELEASE = "debian12"
# What takes turns is run at every fourth commit.
SHARE = 4
TEST_BIN = BUILD / "venv/test/bin"
LINT_BIN = BUILD / "venv/lint/bin"


@dataclass
class Job:
    """One command, and where it says how many tests it ran."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def junit(self) -> Path:
        return JUNIT / self.name


@dataclass
class Result:
    job: Job
    passed: int
    failed: int
    seconds: float
    log: Path


def pytest_job(name: str, paths: list[str], *options: str) -> Job:
    junit = JUNIT / name / "pytest.xml"
    return Job(name, [str(TEST_BIN / "pytest"), "-q", f"--junitxml={junit}", *options, *paths])


def unit_jobs() -> list[Job]:
    paths = [path for path in ("tests/unit", "tests/recorded") if (ROOT / path).is_dir()]
    return [pytest_job("unit", paths)]


def lint_jobs() -> list[Job]:
    """The slowest first, so that it overlaps with all the others."""
    lint = str(LINT_BIN)
    shell = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "scripts").glob("*.sh"))]
    return [
        Job("sanity", ["scripts/sanity.sh"]),
        Job("ansible-lint", [f"{lint}/ansible-lint", "--offline", "--strict"]),
        Job("mypy-plugins", [f"{lint}/mypy", "--package", "ansible_collections.mlops.onprem.plugins"]),
        Job("mypy-scripts", [f"{lint}/mypy", "scripts"]),
        # Its modules import one another by their bare names, as pytest finds them.
        Job("mypy-vm", [f"{lint}/mypy", "tests/vm"], {"MYPYPATH": "tests/vm:tests"}),
        Job("yamllint", [f"{lint}/yamllint", "--strict", "."]),
        Job("ruff-check", [f"{lint}/ruff", "check"]),
        Job("ruff-format", [f"{lint}/ruff", "format", "--check"]),
        Job("shellcheck", [f"{lint}/shellcheck", "--external-sources", "--source-path=SCRIPTDIR", ".ci/run", *shell]),
        Job("codespell", [f"{lint}/codespell"]),
        Job("changelog", [f"{lint}/antsibull-changelog", "lint"]),
        Job("docs", ["scripts/docs_lint.sh"]),
    ]


def in_turn(names: list[str], commits: int) -> list[str]:
    """Those that run at this commit, a quarter; the next commits run the others."""
    return [name for i, name in enumerate(names) if i % SHARE == commits % SHARE]


def nothing_waits() -> bool:
    return os.environ.get("MLOPS_ALL", "") == "1"


def without_waiting(names: list[str], always: list[str]) -> list[str]:
    """The names that run at this commit; those that wait are printed."""
    if nothing_waits():
        return names
    now = in_turn([name for name in names if name not in always], commits_so_far())
    if left := [name for name in names if name not in (*always, *now)]:
        print(f"  wait {', '.join(left)}: in turn with the next commits (MLOPS_ALL=1 runs them now)", flush=True)
    return [name for name in names if name not in left]


def role_jobs() -> list[Job]:
    """A scenario each; where tests/mutations/ names it, its role is then broken on purpose in the same container."""
    wanted = os.environ.get("ROLE", "")
    scenarios = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
    if wanted:
        scenarios = [name for name in scenarios if name == wanted or name.startswith(f"{wanted}-")]
        if not scenarios:
            sys.exit(f"error: ROLE={wanted}: there is no molecule/{wanted} and no molecule/{wanted}-*")
    else:
        scenarios = without_waiting(scenarios, [f"{role.name}-{FIRST_RELEASE}" for role in (ROOT / "roles").iterdir()])
    # The longest first, so that two of them end together: the later roles stand on the earlier ones and do more.
    order = [
        *("common-debian12", "object_store-debian13", "model_registry", "gpu_driver", "acceptance", "object_store"),
        "common",
    ]
    scenarios.sort(key=lambda name: next((i for i, role in enumerate(order) if name.startswith(role)), len(order)))
    mutations = os.environ.get("MLOPS_MUTATIONS", "all" if wanted or nothing_waits() else "1")
    return [
        Job(
            name,
            [sys.executable, "scripts/run_scenario.py", name],
            {"MLOPS_JUNIT_DIR": str(JUNIT / name), "MLOPS_MUTATIONS": mutations},
        )
        for name in scenarios
    ]


def vm_jobs() -> list[Job]:
    """A test file each, with machines, ports and folders of its own."""
    wanted = os.environ.get("VM", "")
    names = sorted(path.stem.removeprefix("test_") for path in (ROOT / "tests/vm").glob("test_*.py"))
    if wanted and wanted not in names:
        sys.exit(f"error: VM={wanted}: there is no tests/vm/test_{wanted}.py")
    # The check of the machines themselves is short; the others take a quarter of an hour each.
    names = [wanted] if wanted else without_waiting(names, ["machine"])
    names.sort(key=lambda name: name == "machine")
    return [pytest_job(f"vm-{name}", [f"tests/vm/test_{name}.py"]) for name in names]


def lab_jobs() -> list[Job]:
    return [pytest_job("lab", ["tests/lab"], "-x")]


TIERS = {"unit": unit_jobs, "lint": lint_jobs, "roles": role_jobs, "vm": vm_jobs, "lab": lab_jobs}
# Tiers whose jobs run side by side, so that no processor waits for the last job of each. The longest jobs come first.
ON_THE_CHECKOUT = ("lint", "unit")
ON_HOSTS = ("vm", "lab", "roles")


def count(job: Job, returncode: int) -> tuple[int, int]:
    """(passed, failed) of a job. A command that fails without a failed test counts as one failure of its own."""
    passed = failed = 0
    for file in job.junit.glob("*.xml"):
        for suite in ElementTree.parse(file).getroot().iter("testsuite"):  # noqa: S314 (we wrote it)
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            failed += bad
            passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    if returncode != 0 and failed == 0:
        failed = 1
    if returncode == 0 and passed == 0:
        passed = 1
    return passed, failed


def run(job: Job) -> Result:
    log = LOGS / f"{job.name}.log"
    job.junit.mkdir(parents=True, exist_ok=True)
    for old in job.junit.glob("*.xml"):
        old.unlink()
    environment = {
        **os.environ,
        "PATH": f"{TEST_BIN}:{LINT_BIN}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        **job.environment,
    }
    begin = time.monotonic()
    with log.open("w") as output:
        process = subprocess.run(
            job.command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    passed, failed = count(job, process.returncode)
    return Result(job, passed, failed, time.monotonic() - begin, log)


def show(result: Result) -> None:
    word = "FAIL" if result.failed else "ok  "
    counts = f"{result.passed} passed, {result.failed} failed"
    print(f"  {word} {result.job.name:<28} {counts:<24} {result.seconds:6.0f} s", flush=True)
    if result.failed:
        lines = excerpt(result.log.read_text(errors="replace"))
        print(f"  ---- from {result.log.relative_to(ROOT)}", *lines, "  ----", sep="\n", flush=True)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in TIERS]
    if unknown or not names:
        sys.exit(f"error: unknown tier {', '.join(unknown) or '(none given)'}: there are {', '.join(TIERS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    for together in (ON_THE_CHECKOUT, ON_HOSTS):
        tiers = [name for name in together if name in names]
        if not tiers:
            continue
        begin = time.monotonic()
        print(f"== {', '.join(tiers)}", flush=True)
        with ThreadPoolExecutor(max_workers=2) as pool:
            jobs = [pool.submit(run, job) for name in tiers for job in TIERS[name]()]
            for done in as_completed(jobs):
                result = done.result()
                show(result)
                passed += result.passed
                failed += result.failed
        print(f"== {', '.join(tiers)}: {time.monotonic() - begin:.0f} s", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

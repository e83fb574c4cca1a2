"""Run one molecule scenario, then break its role on purpose and expect its tests to notice.

    run_scenario.py SCENARIO

The scenario runs as always (destroy ... verify). Where a file in tests/mutations/ names it, each mutation is applied to a
copy of the collection, the copy converges on the same container, and the step that the mutation names must go red. At the
end the unbroken code converges again and the tests that went red must be green: the red came from the mutations.

MLOPS_MUTATIONS says how many of them are tried: `all` (the default), or a number, which takes others with each commit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
STEPS = ("converge", "idempotence", "verify")


class Broken(Exception):
    """What is wrong with a mutation, in one sentence."""


@dataclass
class Mutation:
    name: str
    file: str
    find: str
    replace: str
    caught_by: str
    test: str = ""

    def apply(self, copy: Path) -> None:
        path = copy / self.file
        text = path.read_text()
        if text.count(self.find) != 1:
            raise Broken(f"{self.file} holds the text to find {text.count(self.find)} times, not once: {self.find!r}")
        path.write_text(text.replace(self.find, self.replace))

    def undo(self, copy: Path) -> None:
        (copy / self.file).write_bytes((ROOT / self.file).read_bytes())


def mutations_of(scenario: str) -> list[Mutation]:
    found = []
    for file in sorted((ROOT / "tests/mutations").glob("*.yml")):
        data = yaml.safe_load(file.read_text())
        if data["scenario"] == scenario:
            found += [Mutation(**entry) for entry in data["mutations"]]
    for mutation in found:
        if mutation.caught_by not in STEPS or (mutation.caught_by == "verify" and not mutation.test):
            raise Broken(f"{mutation.name}: caught_by is one of {', '.join(STEPS)}, and verify wants a test")
    return found


def turn(mutations: list[Mutation], wanted: str, commits: int) -> list[Mutation]:
    """Those that are tried in this run.

    A number takes so many neighbours and goes on by as many with each commit, so that all of them have their turn.
    Raises Broken for anything else than a number or `all`.
    """
    if wanted == "all":
        return mutations
    if not wanted.isdigit():
        raise Broken(f"MLOPS_MUTATIONS is {wanted!r}: set it to a number or to all")
    count = min(int(wanted), len(mutations))
    return [mutations[(commits * count + i) % len(mutations)] for i in range(count)]


def commits_so_far() -> int:
    """How many commits led here; 0 where this is no checkout."""
    found = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return int(found.stdout) if found.returncode == 0 else 0


class Bench:
    """A copy of the collection, and the scenario's container to try it on."""

    def __init__(self, scenario: str) -> None:
        self.scenario = scenario
        folder = BUILD / "mutations" / scenario
        output = subprocess.run([ROOT / "scripts/copy.sh", folder], check=True, capture_output=True, text=True)
        self.copy = Path(output.stdout.strip())
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        }
        self.folder = self.copy / "molecule" / scenario
        # The copy is the same site: the same CA and the same passwords.
        state = ROOT / "molecule" / scenario / ".mlops"
        if state.is_dir():
            shutil.copytree(state, self.folder / ".mlops", symlinks=True)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.copy,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def converge(self) -> subprocess.CompletedProcess[str]:
        return self.run(
            ["ansible-playbook", "--inventory", f"{self.folder}/inventory.yml", f"{self.folder}/converge.yml"]
        )

    def verify(self, test: str = "") -> subprocess.CompletedProcess[str]:
        selection = ["-k", test] if test else []
        return self.run(
            [
                *("pytest", "-q", "-p", "no:cacheprovider", "--hosts=ansible://molecule"),
                *(f"--ansible-inventory={self.folder}/inventory.yml", *selection, f"{self.folder}/tests"),
            ]
        )


def changed(output: str) -> int:
    """How many tasks the play recap counts as changed."""
    return sum(int(number) for number in re.findall(r"changed=(\d+)", output))


def try_mutation(bench: Bench, mutation: Mutation) -> None:
    """Raise Broken unless the named step, and no earlier one, goes red."""
    mutation.apply(bench.copy)
    try:
        converged = bench.converge()
        if mutation.caught_by == "converge":
            if converged.returncode == 0:
                raise Broken("converge stayed green")
            return
        if converged.returncode != 0:
            raise Broken(f"went red too early, in converge:\n{converged.stdout[-3000:]}{converged.stderr[-1000:]}")
        if mutation.caught_by == "idempotence":
            again = bench.converge()
            if again.returncode == 0 and changed(again.stdout) == 0:
                raise Broken("the second run changed nothing")
            return
        verified = bench.verify(mutation.test)
        # pytest: 1 is "tests failed"; 5 is "no test has that name", which would prove nothing.
        if verified.returncode != 1:
            raise Broken(
                f"{mutation.test} did not fail (pytest ended with {verified.returncode}):\n{verified.stdout[-2000:]}"
            )
    finally:
        mutation.undo(bench.copy)


def write_junit(scenario: str, outcomes: list[tuple[str, str]]) -> None:
    folder = Path(os.environ.get("MLOPS_JUNIT_DIR", BUILD / "junit" / scenario))
    folder.mkdir(parents=True, exist_ok=True)
    failures = sum(1 for name, error in outcomes if error)
    cases = "".join(
        f"<testcase name={quoteattr(name)}>{f'<failure message={quoteattr(error)}/>' if error else ''}</testcase>"
        for name, error in outcomes
    )
    suite = f'<testsuite name={quoteattr(scenario)} tests="{len(outcomes)}" failures="{failures}" errors="0" skipped="0">{cases}</testsuite>'
    (folder / "mutations.xml").write_text(f"<testsuites>{suite}</testsuites>")


def run_mutations(scenario: str, mutations: list[Mutation]) -> int:
    bench = Bench(scenario)
    outcomes: list[tuple[str, str]] = []
    for mutation in mutations:
        begin = time.monotonic()
        error = ""
        try:
            try_mutation(bench, mutation)
        except Broken as broken:
            error = str(broken)
        outcomes.append((mutation.name, error))
        print(
            f"{'NOT CAUGHT' if error else 'caught':<10} {mutation.name} ({time.monotonic() - begin:.0f} s) {error}",
            flush=True,
        )
    healed = bench.converge()
    # The others were green before the first mutation, and take minutes where each converges by itself.
    names = " or ".join(dict.fromkeys(mutation.test for mutation in mutations if mutation.test))
    verified = bench.verify(names) if names and healed.returncode == 0 else healed
    error = "" if verified.returncode == 0 else f"the unbroken code is red afterwards:\n{verified.stdout[-3000:]}"
    outcomes.append(("the unbroken code heals every mutation", error))
    print(f"{'FAILED' if error else 'healed':<10} {error}", flush=True)
    write_junit(scenario, outcomes)
    return 1 if any(error for name, error in outcomes) else 0


def main() -> int:
    scenario = sys.argv[1]
    molecule = [str(ROOT / "scripts/molecule.sh")]
    mutations = turn(mutations_of(scenario), os.environ.get("MLOPS_MUTATIONS", "all"), commits_so_far())
    # --destroy=never leaves out the destroy at the begin, too, and a run that was killed left its containers behind.
    subprocess.run([*molecule, "destroy", scenario], check=False)
    code = subprocess.run([*molecule, "test", scenario, "--destroy=never"], check=False).returncode
    try:
        if code == 0 and mutations:
            code = run_mutations(scenario, mutations)
    finally:
        subprocess.run([*molecule, "destroy", scenario], check=False)
    return code


if __name__ == "__main__":
    sys.exit(main())

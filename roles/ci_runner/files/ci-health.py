# Managed by mlops.onprem (role ci_runner): changes are overwritten.
"""Whether a slot may take jobs: disk, GPU, ECC. `ci-health.py SLOT` ends with 1 and says why not; without a word, it may.

`--all` asks for every slot and has the runner of an unhealthy one end after its job: its unit starts again when this lets it.
`--self` asks for the slot of the user who runs this.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

FACTS = Path(os.environ.get("MLOPS_CI_FACTS", "/etc/mlops-onprem/ci_runner/slots.json"))
QUERY = "pci.bus_id,ecc.errors.uncorrected.volatile.total,remapped_rows.failure,remapped_rows.pending"


def ask(argv):
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return done.returncode, done.stdout


def short(address):
    """`00000000:10:00.0` and `0000:10:00.0` are the same."""
    return address.strip().lower()[-10:].lstrip("0") if ":" in address else address


def gpus():
    """What nvidia-smi says of each GPU by address; a sentence where it says nothing."""
    code, said = ask(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"])
    if code != 0:
        return None, f"nvidia-smi does not answer: {' '.join(said.split())[:200]}"
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines() if line.count(",") == 3]
    return {short(row[0]): row for row in rows}, ""


def reasons(facts, name):
    """Why a slot may take no job."""
    free = shutil.disk_usage(facts["work_dir"]).free / 10**9
    if free < facts["min_free_gb"]:
        yield f"{free:.0f} GB are free at {facts['work_dir']}, and jobs want {facts['min_free_gb']}"
    devices = [one for one in facts["slots"][name]["devices"] if one["vendor"] == "nvidia"]
    if not devices:
        return
    found, problem = gpus()
    if problem:
        yield problem
        return
    for device in devices:
        row = found.get(short(device["pci_address"]))
        if row is None:
            yield f"GPU {device['index']} at {device['pci_address']} does not answer"
            continue
        # "[N/A]" is a GPU without that counter.
        for label, value in (
            ("uncorrected memory errors", row[1]),
            ("rows that could not be remapped", row[2]),
            ("rows to be remapped", row[3]),
        ):
            if re.fullmatch("[0-9]+", value) and int(value) > 0 or value == "Yes":
                yield f"GPU {device['index']} at {device['pci_address']} has {label} ({value}): reset it, or reboot the host"


def state(unit, key):
    return ask(["systemctl", "show", f"--property={key}", "--value", unit])[1].strip()


def has_job(unit):
    """GitHub's runner ends its job when it is stopped; the others wait for theirs."""
    group = Path("/sys/fs/cgroup" + state(unit, "ControlGroup")) / "cgroup.procs"
    try:
        numbers = group.read_text().split()
        return any(Path(f"/proc/{number}/comm").read_text().strip() == "Runner.Worker" for number in numbers)
    except OSError:
        return False


def main():
    facts = json.loads(FACTS.read_text())
    if sys.argv[1:] == ["--all"]:
        for name in facts["slots"]:
            unit = f"mlops-ci-runner-{name}.service"
            why = list(reasons(facts, name))
            if why and state(unit, "ActiveState") == "active" and not has_job(unit):
                print(f"the slot {name} takes no more jobs: {'; '.join(why)}", flush=True)
                ask(["systemctl", "restart", "--no-block", unit])
        return 0
    # Gitea's runner asks without a word.
    own = sys.argv[1:] in ([], ["--self"])
    name = pwd.getpwuid(os.getuid()).pw_name[len("ci-") :] if own else sys.argv[1]
    why = list(reasons(facts, name))
    for one in why:
        print(f"the slot {name} takes no jobs: {one}")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())

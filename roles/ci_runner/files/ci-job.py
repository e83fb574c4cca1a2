# Managed by mlops.onprem (role ci_runner): changes are overwritten.
"""Around each job: is the slot healthy, and for how long did which GPUs belong to which job. One line of JSON for each job that ended.

It runs as the slot's user, as the job does: a job could write its own lines. It is an account, no proof.
"""

import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

FACTS = Path(os.environ.get("MLOPS_CI_FACTS", "/etc/mlops-onprem/ci_runner/slots.json"))
# What the forges call a job, in the order of how exact it is.
NAMES = ("CI_JOB_URL", "CI_JOB_ID", "GITHUB_RUN_ID")


def main():
    facts = json.loads(FACTS.read_text())
    name = pwd.getpwuid(os.getuid()).pw_name[len("ci-") :]
    name = os.environ.get("MLOPS_CI_SLOT", name)
    folder = Path(facts["work_dir"]) / name
    note = folder / "job.json"
    now = time.time()
    if sys.argv[1:] == ["started"]:
        job = next((os.environ[key] for key in NAMES if os.environ.get(key)), "")
        repository = os.environ.get("GITHUB_REPOSITORY") or os.environ.get("CI_PROJECT_PATH") or ""
        note.write_text(json.dumps({"job": job, "repository": repository, "started": now}))
        return subprocess.run(
            [sys.executable, str(Path(__file__).parent / "ci-health.py"), name], check=False
        ).returncode
    if sys.argv[1:] != ["completed"] or not note.exists():
        return 0
    told = json.loads(note.read_text())
    devices = facts["slots"][name]["devices"]
    seconds = round(now - told["started"], 1)
    line = {
        **told,
        "ended": now,
        "slot": name,
        "gpus": [one["uuid"] for one in devices],
        "gpu_seconds": round(seconds * len(devices), 1),
    }
    with (folder / "jobs.jsonl").open("a") as stream:
        stream.write(json.dumps(line, sort_keys=True) + "\n")
    note.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

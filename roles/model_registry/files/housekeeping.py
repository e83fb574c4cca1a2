"""What a registry leaves lying about: found, told, written as metrics, and removed where that was asked for.

`housekeeping.py disk CONFIG` looks at the disks only, `housekeeping.py leftovers CONFIG` at everything else. The timers call it.

- Runs, experiments and logged models that people deleted stay in the database and on the disk until `mlflow gc`. That takes
  what a registered version still points to, too; so it is not called while there is such a one.
- gc and the deletion of registered models leave files and logged models that nothing points to any more.
- A killed upload leaves a hidden file, a killed server temporary ones.

What several servers share is looked after by one of them (`shared` in CONFIG). Of artifacts in a bucket, what the database knows is found and
removed as it is elsewhere; what it does not know is not looked for: listing a bucket may take hours, and its lifecycle does that.

Prints what it found as one line of JSON. Ends with 1 where something could not be done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from pathlib import Path

DAY = 86400
NOTHING: dict = {"experiments": {}, "runs": [], "models": [], "sources": []}
RUN, MODEL = re.compile(r"(?<![0-9a-z-])[0-9a-f]{32}"), re.compile(r"m-[0-9a-f]{32}")


def read_database(cutoff):
    """Rows that matter. `cutoff`: seconds since 1970; what was deleted or changed before is old."""
    import psycopg2

    address = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("postgresql+psycopg2:", "postgresql:", 1)
    session = psycopg2.connect(address, connect_timeout=10, application_name="mlops.onprem")
    session.set_session(readonly=True)

    def rows(text):
        cursor.execute(text, {"cutoff": int(cutoff * 1000)})
        return cursor.fetchall()

    with session, session.cursor() as cursor:
        return {
            # id: old and deleted
            "experiments": dict(
                rows(
                    "SELECT experiment_id::text, lifecycle_stage = 'deleted' AND coalesce(last_update_time < %(cutoff)s, false)"
                    " FROM experiments"
                )
            ),
            # id, experiment, deleted, old
            "runs": rows(
                "SELECT run_uuid, experiment_id::text, lifecycle_stage = 'deleted', coalesce(deleted_time <= %(cutoff)s, false) FROM runs"
            ),
            # id, experiment, deleted, old, run. MLflow 2 has none.
            "models": rows(
                "SELECT model_id, experiment_id::text, lifecycle_stage = 'deleted', last_updated_timestamp_ms <= %(cutoff)s, source_run_id"
                " FROM logged_models"
            )
            if rows("SELECT to_regclass('logged_models') IS NOT NULL")[0][0]
            else [],
            # A deleted version stays, under this stage.
            "sources": [
                " ".join(filter(None, row))
                for row in rows(
                    "SELECT source, storage_location FROM model_versions WHERE current_stage <> 'Deleted_Internal'"
                )
            ],
        }


def choose(rows):
    """What gc takes, what of it is still used, and the logged models that nothing points to. Knows no disk."""
    used = {word for source in rows["sources"] for pattern in (RUN, MODEL) for word in pattern.findall(source)}
    gone_experiments = {number for number, old in rows["experiments"].items() if old}
    runs = {run for run, _experiment, gone, old in rows["runs"] if gone and old}
    models = {model for model, _experiment, gone, old, _run in rows["models"] if gone and old}
    within = {entry[0] for entry in [*rows["runs"], *rows["models"]] if entry[1] in gone_experiments}
    left = {run for run, _experiment, gone, _old in rows["runs"] if not gone}
    return {
        "runs": sorted(runs),
        "models": sorted(models),
        "experiments": sorted(gone_experiments, key=int),
        "used": sorted((runs | models | within) & used),
        "orphan_models": sorted(
            model
            for model, _experiment, gone, old, run in rows["models"]
            if old and not gone and run and run not in left and model not in used
        ),
    }


def newest(path):
    """When anything in a folder was last changed, and its size in bytes."""
    found = path.lstat()
    stamp, size = found.st_mtime, 0 if path.is_dir() else found.st_size
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            with contextlib.suppress(FileNotFoundError):
                found = Path(folder, name).lstat()
                stamp = max(stamp, found.st_mtime)
                size += found.st_size if name in files else 0
    return stamp, size


def entries(folder):
    try:
        return sorted(Path(folder).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def orphan_folders(root, rows, cutoff):
    """Folders of runs, logged models and experiments that the database does not know: (path, bytes), old ones only. `root` is None for a bucket.

    Only names that MLflow gives: other things that people put there are not its own.
    """
    runs = {entry[0] for entry in rows["runs"]}
    models = {entry[0] for entry in rows["models"]}
    found = []
    for experiment in entries(root) if root else ():
        if not experiment.name.isdigit() or experiment.is_symlink():
            continue
        inside = [path for path in entries(experiment) if RUN.fullmatch(path.name) and path.name not in runs]
        inside += [
            path for path in entries(experiment / "models") if MODEL.fullmatch(path.name) and path.name not in models
        ]
        found += [path for path in inside if not path.is_symlink()]
    aged = [(path, *newest(path)) for path in found]
    return [(str(path), size) for path, stamp, size in aged if stamp <= cutoff]


def stale_files(root, temporary, cutoff):
    """Partial uploads below the artifacts, and temporary files: (path, bytes), old ones only."""
    found = []
    for base, prefix in ((root, ".artifact.uploading."), (temporary, "")):
        for folder, folders, files in os.walk(base) if base else ():
            # Of running servers, which map these files.
            if base == temporary and "prometheus" in folders:
                folders.remove("prometheus")
            for name in files:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.lstat()
                    if name.startswith(prefix) and max(status.st_mtime, status.st_ctime) <= cutoff:
                        found.append((str(path), status.st_size))
    return found


def disks(config):
    """Used share of each folder's file system, and 0, 1 or 2 for how many of the thresholds it is above."""
    answer = {}
    for name, folder in config["folders"].items():
        status = os.statvfs(folder)
        usable = status.f_blocks - status.f_bfree + status.f_bavail
        used = 1 - status.f_bavail / usable if usable else 1.0
        level = sum(used * 100 >= percent for percent in config["thresholds"])
        answer[name] = {"used": round(used, 4), "free": status.f_bavail * status.f_frsize, "level": level}
    return answer


def remove(path):
    """A file or a folder. Follows no link."""
    if Path(path).is_dir() and not Path(path).is_symlink():
        shutil.rmtree(path)
    else:
        Path(path).unlink()


def call(config, method, path):
    """A call of the server, beside the proxy."""
    login = f"{config['user']}:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}".encode()
    request = urllib.request.Request(config["uri"] + path, method=method)
    request.add_header("Authorization", "Basic " + b64encode(login).decode())
    with urllib.request.urlopen(request, timeout=60):
        pass


def collect(config):
    """`mlflow gc`. The login goes through the environment; the address of the database, which has no password, cannot."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": config["uri"],
        "MLFLOW_TRACKING_USERNAME": config["user"],
        "MLFLOW_TRACKING_PASSWORD": os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"],
    }
    command = [config["mlflow"], "gc", "--older-than", f"{config['age_days']}d"]
    command += ["--backend-store-uri", os.environ["MLFLOW_BACKEND_STORE_URI"]]
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)


def everything(config, now):
    """Look, then do what is asked for. Returns what was found, with what went wrong under `failed`."""
    cutoff = now - config["age_days"] * DAY
    rows = read_database(cutoff) if config["shared"] else NOTHING
    found = {"deleted": choose(rows), "failed": []}
    artifacts = config["folders"].get("artifacts")
    found["orphan_folders"] = orphan_folders(artifacts, rows, cutoff)
    found["stale_files"] = stale_files(artifacts, config["folders"]["temporary"], now - DAY)
    deleted = found["deleted"]

    def attempt(what, step):
        try:
            step()
        except (OSError, subprocess.CalledProcessError) as error:
            found["failed"].append(f"{what}: {error}")

    for path, _size in found["stale_files"]:
        attempt(path, lambda path=path: remove(path))
    if config["gc"] == "delete" and deleted["used"]:
        found["failed"].append(
            f"nothing was deleted: registered versions still use {', '.join(deleted['used'])}. Restore these, or delete the versions"
        )
    elif config["gc"] == "delete" and deleted["runs"] + deleted["models"] + deleted["experiments"]:
        attempt("mlflow gc", lambda: collect(config))
    if config["orphans"]:
        for path, _size in found["orphan_folders"]:
            attempt(path, lambda path=path: remove(path))
        for model in deleted["orphan_models"]:
            # gc takes them from there, when they have been deleted for long enough.
            attempt(model, lambda model=model: call(config, "DELETE", f"/api/2.0/mlflow/logged-models/{model}"))
    return found


def exposition(samples):
    """Lines of Prometheus from (name, help, [(labels, value)])."""
    lines = []
    for name, text, values in samples:
        lines += [f"# HELP mlops_model_registry_{name} {text}", f"# TYPE mlops_model_registry_{name} gauge"]
        lines += [f"mlops_model_registry_{name}{{{labels}}} {value}".replace("{}", "") for labels, value in values]
    return "\n".join(lines) + "\n"


def disk_metrics(space, thresholds):
    def each(key):
        return [(f'folder="{name}"', found[key]) for name, found in space.items()]

    levels = [(f'level="{name}"', percent / 100) for name, percent in zip(("warning", "critical"), thresholds)]
    return exposition(
        [
            ("disk_used_ratio", "Used share of the folder's file system.", each("used")),
            ("disk_free_bytes", "What is free for the server.", each("free")),
            ("disk_alarm", "0 is fine, 1 a warning, 2 critical.", each("level")),
            ("disk_threshold_ratio", "Where warning and critical begin.", levels),
        ]
    )


def leftover_metrics(found, now):
    deleted = found["deleted"]
    counts = {kind: len(deleted[kind]) for kind in ("runs", "models", "experiments", "used", "orphan_models")}
    counts.update({kind: len(found[kind]) for kind in ("orphan_folders", "stale_files")})
    sizes = {kind: sum(size for _path, size in found[kind]) for kind in ("orphan_folders", "stale_files")}
    return exposition(
        [
            ("leftovers", "What the last look found.", [(f'kind="{kind}"', n) for kind, n in counts.items()]),
            ("leftovers_bytes", "What these take of the disk.", [(f'kind="{kind}"', n) for kind, n in sizes.items()]),
            ("housekeeping_failures", "What the last look could not do.", [("", len(found["failed"]))]),
            ("housekeeping_timestamp_seconds", "When the last look ended.", [("", int(now))]),
        ]
    )


def write(path, text):
    """In place: the folder belongs to others. One write, so that a reader never sees half of it."""
    handle = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(handle, text.encode(), 0)
        os.ftruncate(handle, len(text.encode()))
    finally:
        os.close(handle)


def main():
    task, path = sys.argv[1:]
    with Path(path).open(encoding="utf-8") as file:
        config = json.load(file)
        if task == "disk":
            found = disks(config)
            text = disk_metrics(found, config["thresholds"])
        else:
            # Whoever takes a backup holds this lock meanwhile.
            fcntl.flock(file, fcntl.LOCK_EX)
            found = everything(config, time.time())
            text = leftover_metrics(found, time.time())
    if config["textfile_dir"]:
        write(f"{config['textfile_dir']}/mlops_model_registry_{task}.prom", text)
    print(json.dumps(found))
    sys.exit(1 if found.get("failed") else 0)


if __name__ == "__main__":
    main()

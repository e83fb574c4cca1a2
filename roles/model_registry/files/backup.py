"""Back the registry up with restic, prove that the backup can be used, and restore it.

    backup.py init|backup|drill          as units
    backup.py restore [TIME]             the newest snapshot, or the newest one not after TIME (ISO 8601, UTC)

Reads /etc/mlflow/backup.json. One JSON line says how it ended; how the last tries of backup and drill went, and when each last
succeeded, are metrics for the node exporter.

The database is dumped before the artifacts are read. Artifacts are written once and before the database names them, so the dump
never names a file that the snapshot lacks.

Artifacts in a bucket are not in the snapshots: the bucket's old versions and its own copies elsewhere keep them. The drill opens a model from
the bucket then, and a restore is one of the database.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from mlflow_data import Database, Problem, free_bytes, last_words, locked, systemctl, wait_for, write

CONFIG = Path("/etc/mlflow/backup.json")
TAG = "mlops-onprem"
SCRATCH_DATABASE = "mlflow_drill"
# Read a model's description with MLflow. Its code is not run: it may be anybody's.
OPEN = "import sys, yaml; from mlflow.models import Model; assert Model.from_dict(yaml.safe_load(sys.stdin)).flavors"
FROM_BUCKET = """
import pathlib, sys, tempfile
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
with tempfile.TemporaryDirectory() as folder:
    path = get_artifact_repository(sys.argv[1]).download_artifacts("MLmodel", folder)
    sys.stdout.write(pathlib.Path(path).read_text())
"""
KEPT = 2
# restic writes several packs of 16 MiB at once, and needs room to be able to drop old ones.
REPOSITORY_ROOM = 128 * 2**20
METRICS = {
    "success": "Whether the last try succeeded",
    "last_try_timestamp_seconds": "When the last try ended",
    "last_success_timestamp_seconds": "When a try last succeeded",
    "duration_seconds": "How long the last try took",
    "snapshot_timestamp_seconds": "When the snapshot was taken that the last success was about",
}


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def moment(text):
    """Seconds since 1970 of an ISO 8601 time; without a zone it is UTC. restic writes nanoseconds, Python reads microseconds."""
    head, dot, rest = text.strip().replace("Z", "+00:00").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    try:
        found = datetime.fromisoformat(head + (f".{digits[:6]:0<6}{rest[len(digits) :]}" if dot else ""))
    except ValueError:
        raise Problem(f"{text!r} is not a time; write it as 2027-01-31T18:00:00Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def choose(snapshots, until):
    """The newest snapshot, or the newest one that is not after `until`."""
    limit = moment(until) if until else float("inf")
    fitting = [one for one in snapshots if moment(one["time"]) <= limit]
    if not fitting:
        have = sorted((one["time"] for one in snapshots), key=moment)
        raise Problem(
            f"no snapshot is from {until} or before; the oldest is of {have[0]}, the newest of {have[-1]}"
            if have
            else "the repository has no snapshot of a registry"
        )
    return max(fitting, key=lambda one: moment(one["time"]))


def number(version):
    return [int(part) for part in version.split(".")]


def refuse_other_code(manifest, config):
    """A dump is for the tables of its own version."""
    if manifest["schema"] == config["schema"]:
        return
    theirs, ours = manifest["version"], config["version"]
    if number(theirs) > number(ours):
        raise Problem(
            f"the snapshot is of MLflow {theirs}, and MLflow {ours} is installed, which cannot read its tables: upgrade this "
            f"registry to {theirs} first, or choose an older snapshot"
        )
    raise Problem(
        f"the snapshot is of MLflow {theirs}, and MLflow {ours} is installed, which would migrate it unasked: install {theirs} on an "
        f"empty host (model_registry_version: {theirs}), restore there, then upgrade; or choose a newer snapshot"
    )


class Registry:
    """config: what vars/main/backup.yml calls __model_registry_backup_config."""

    def __init__(self, config):
        self.config = config
        self.database = Database(config["user"], config["connection"], config["password"])
        self.folder = Path(config["folder"])
        self.staging = self.folder / "backup"
        self.scratch = self.folder / "drill"
        self.bucket = config["artifacts_dir"] if config["artifacts_dir"].startswith("s3://") else ""
        self.artifacts = None if self.bucket else Path(config["artifacts_dir"])

    def restic(self, *words):
        """What restic printed. Raises Problem with its complaint."""
        environment = {
            **{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
            **{"RESTIC_CACHE_DIR": "/var/cache/mlops-onprem-mlflow", "RESTIC_PROGRESS_FPS": "0"},
            **self.config["environment"],
            **{"RESTIC_REPOSITORY": self.config["repository"], "RESTIC_PASSWORD": self.config["repository_password"]},
        }
        command = ["restic", *self.config["options"], *words]
        answer = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        # 3: some files could not be read; the snapshot is there, and is not complete.
        if answer.returncode:
            raise Problem(
                f"restic {words[0]} ended with {answer.returncode}: {last_words(answer.stderr or answer.stdout)}"
            )
        return answer.stdout

    # ---- the parts

    def init(self):
        """Only the role calls this: a backup that made a repository in the mount point of a missing disk would look good."""
        try:
            self.restic("cat", "config")
        except Problem as problem:
            try:
                self.restic("init")
            except Problem as second:
                raise Problem(
                    f"{self.config['repository']} can neither be opened nor made: {problem}; {second}"
                ) from None
            return "the repository was made"
        return "the repository is there"

    def backup(self):
        needed, free = self.database.size(), free_bytes(self.folder)
        if free < needed:
            raise Problem(
                f"{self.folder} has {free // 2**20} MiB free, and a dump of the database may take {needed // 2**20} MiB"
            )
        self.restic("cat", "config")
        # What a killed backup left; never the lock of a running one.
        self.restic("unlock")
        for folder in (self.folder, self.staging):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        schema = self.database.revisions()
        if schema != self.config["schema"]:
            raise Problem(
                f"the tables are at {schema}, not at {self.config['schema']}: an upgrade was begun and not finished"
            )
        dump = self.staging / "database.dump"
        self.database.dump(dump)
        self.check_repository(dump.stat().st_size)
        manifest = {key: self.config[key] for key in ("version", "schema", "artifacts_dir", "host")}
        write(self.staging / "manifest.json", json.dumps({**manifest, "sha256": sha256(dump)}) + "\n")
        output = self.restic(
            *("backup", "--json", f"--tag={TAG}", f"--host={self.config['host']}", "--exclude=.artifact.uploading.*"),
            *(str(self.staging), *([] if self.bucket else [str(self.artifacts)]), self.config["env_file"]),
        )
        keep = [f"--keep-{period}={count}" for period, count in self.config["keep"].items()]
        # Only after a good one, so that a row of failures never ages the last good one out.
        self.restic("forget", f"--tag={TAG}", "--group-by=tags", "--prune", *keep)
        snapshot = json.loads(output.splitlines()[-1])["snapshot_id"]
        self.snapshot_time = time.time()
        return f"snapshot {snapshot[:8]}" + (
            f" of the database; the artifacts are in {self.bucket}, whose old versions and copies are its own"
            if self.bucket
            else ""
        )

    def check_repository(self, dump_bytes):
        """On a full disk restic goes on trying for a quarter of an hour, and then says little."""
        if not self.config["repository"].startswith("/"):
            return
        free = free_bytes(Path(self.config["repository"]))
        if free < dump_bytes + REPOSITORY_ROOM:
            raise Problem(
                f"{self.config['repository']} has {free // 2**20} MiB free, and a backup needs "
                f"{(dump_bytes + REPOSITORY_ROOM) // 2**20} MiB at least: make room, or drop old snapshots (restic forget --prune)"
            )

    def fetch(self, until, target):
        """(snapshot, dump, manifest) of the chosen snapshot, checked, below the target."""
        found = json.loads(self.restic("snapshots", "--json", f"--tag={TAG}") or "[]") or []
        snapshot = choose(found, until)
        self.restic("restore", snapshot["id"], f"--include={self.staging}", f"--target={target}")
        folder = Path(f"{target}{self.staging}")
        dump, listing = folder / "database.dump", folder / "manifest.json"
        if not listing.exists():
            raise Problem(
                f"snapshot {snapshot['short_id']} has no {self.staging}: it was taken with another model_registry_backup_dir; "
                f"its paths are {', '.join(snapshot['paths'])}"
            )
        manifest = json.loads(listing.read_text())
        if sha256(dump) != manifest["sha256"]:
            raise Problem(f"the dump in snapshot {snapshot['short_id']} is not the one that was made")
        return snapshot, dump, manifest

    @contextlib.contextmanager
    def scratch_folder(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(mode=0o711, parents=True)
        try:
            yield self.scratch
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @contextlib.contextmanager
    def scratch_database(self):
        """On this host's PostgreSQL its superuser makes it; on a given one the registry's user has to be allowed to."""
        connection = self.config["connection"]
        admin = self.database
        if self.config["local"]:
            admin = Database("postgres", {**connection, "user": "postgres", "dbname": "postgres"})

        def drop():
            admin.run("dropdb", "--if-exists", "--force", SCRATCH_DATABASE)

        drop()
        try:
            owner = connection["user"]
            admin.run("createdb", f"--owner={owner}", "--template=template0", "--encoding=UTF8", SCRATCH_DATABASE)
        except Problem as problem:
            raise Problem(f"{problem}. On a given database, run: ALTER ROLE {connection['user']} CREATEDB") from None
        try:
            yield Database(self.config["user"], {**connection, "dbname": SCRATCH_DATABASE}, self.config["password"])
        finally:
            drop()

    def aliased_model(self, database):
        """(name, alias, folder below the artifacts) of the newest model that has an alias; None where there is none."""
        rows = database.query(
            "SELECT a.name, a.alias, coalesce(v.storage_location, v.source) FROM registered_model_aliases a "
            "JOIN model_versions v ON v.name = a.name AND v.version = a.version ORDER BY v.creation_time DESC LIMIT 1"
        )
        if not rows:
            return None
        name, alias, location = rows[0]
        if location.startswith("models:/"):
            model = location.rpartition("/")[2].replace("'", "")
            location = database.query(f"SELECT artifact_location FROM logged_models WHERE model_id = '{model}'")[0][0]
        scheme, _colon, path = location.partition(":")
        if scheme != "mlflow-artifacts":
            raise Problem(f"the files of {name}@{alias} are at {location}, which is not part of this backup")
        return name, alias, path.lstrip("/")

    def drill(self):
        """Restore the newest snapshot's database, and a model by its alias, beside the real ones; open it; throw it all away."""
        with self.scratch_folder() as folder, self.scratch_database() as database:
            snapshot, dump, manifest = self.fetch("", folder)
            database.restore(dump)
            if database.revisions() != manifest["schema"]:
                raise Problem(f"the restored tables are at {database.revisions()}, not at {manifest['schema']}")
            self.snapshot_time = moment(snapshot["time"])
            model = self.aliased_model(database)
            if not model:
                return f"snapshot {snapshot['short_id']}: the database was restored; no model has an alias yet"
            name, alias, path = model
            where = manifest["artifacts_dir"]
            if where.startswith("s3://"):
                text = self.run(FROM_BUCKET, f"{where}/{path}", environment=self.config["artifacts_environment"])
            else:
                self.restic("restore", snapshot["id"], f"--include={where}/{path}", f"--target={folder}")
                description = Path(f"{folder}{where}/{path}") / "MLmodel"
                if not description.exists():
                    raise Problem(f"snapshot {snapshot['short_id']} names {name}@{alias}, and lacks its files ({path})")
                text = description.read_text()
            self.run(OPEN, text=text)
        return f"snapshot {snapshot['short_id']}: the database was restored, and {name}@{alias} opens" + (
            f" (from {where}, as it is now)" if where.startswith("s3://") else ""
        )

    def run(self, code, *words, text="", environment=None):
        """What MLflow's own Python printed, as the service's user."""
        answer = subprocess.run(
            [f"{self.config['programs']}/python", "-c", code, *words],
            input=text,
            env={
                **{"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "MLFLOW_DISABLE_TELEMETRY": "true"},
                **(environment or {}),
            },
            cwd="/",
            user=self.config["user"],
            group=self.config["user"],
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            raise Problem(f"MLflow cannot open the restored model: {last_words(answer.stderr)}")
        return answer.stdout

    def restore(self, until=""):
        """Everything is fetched and checked before the service stops; the tables are replaced in one transaction."""
        with self.scratch_folder() as folder:
            snapshot, dump, manifest = self.fetch(until, folder)
            refuse_other_code(manifest, self.config)
            if manifest["artifacts_dir"] != self.config["artifacts_dir"]:
                raise Problem(
                    f"the snapshot's artifacts belong into {manifest['artifacts_dir']}, and this registry's are in "
                    f"{self.config['artifacts_dir']}: set model_registry_artifacts_dir (or _s3) to that"
                )
            self.database.refuse_other_clients()
            if self.artifacts:
                self.check_room(snapshot)
            systemctl("stop", self.config["service"])
            try:
                kept = self.keep_present_tables()
                if self.artifacts:
                    self.restore_artifacts(snapshot)
                self.database.restore(dump)
            finally:
                systemctl("start", self.config["service"])
        wait_for(*(self.config[key] for key in ("service", "port", "admin_user", "admin_password", "timeout")))
        return (
            f"snapshot {snapshot['short_id']} of {snapshot['time'][:19]} was restored; the tables of before are in {kept}"
            + (f"; the artifacts in {self.bucket} were left as they are" if self.bucket else "")
        )

    def restore_artifacts(self, snapshot):
        self.restic("restore", snapshot["id"], f"--include={self.artifacts}", "--target=/")
        # By name: the user's number may be another one on another host.
        owner = f"{self.config['user']}:{self.config['user']}"
        subprocess.run(["chown", "--recursive", "--no-dereference", owner, str(self.artifacts)], check=True)

    def check_room(self, snapshot):
        needed = json.loads(self.restic("stats", "--json", "--mode=restore-size", snapshot["id"]))["total_size"]
        there = subprocess.run(
            ["du", "--summarize", "--bytes", str(self.artifacts)], capture_output=True, text=True, check=False
        )
        used, free = int((there.stdout or "0").split()[0]), free_bytes(self.artifacts)
        if needed > free + used:
            raise Problem(
                f"{self.artifacts} has {free // 2**20} MiB free, and the snapshot is {needed // 2**20} MiB: make room"
            )

    def keep_present_tables(self):
        path = self.folder / f"before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.dump"
        self.database.dump(path)
        for old in sorted(self.folder.glob("before-restore-*.dump"))[:-KEPT]:
            old.unlink()
        return path

    # ---- the metrics

    def tell(self, part, good, seconds, said):
        """A failure keeps what is known of the last success: its age is what alarms look at."""
        file = self.folder / f"{part}-state.json"
        state = json.loads(file.read_text()) if file.exists() else {}
        now = time.time()
        state.update(success=int(good), last_try_timestamp_seconds=now, duration_seconds=seconds, said=said)
        if good:
            state.update(last_success_timestamp_seconds=now, snapshot_timestamp_seconds=self.snapshot_time)
        with contextlib.suppress(OSError):
            write(file, json.dumps(state) + "\n")
        if not self.config["metrics_dir"]:
            return
        lines = []
        for name, text in METRICS.items():
            full = f"mlops_registry_{part}_{name}"
            lines += [f"# HELP {full} {text}.", f"# TYPE {full} gauge", f"{full} {state.get(name, 0):.3f}"]
        folder = Path(self.config["metrics_dir"])
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        write(folder / f"mlops_registry_{part}.prom", "\n".join(lines) + "\n", 0o644)


def main():
    os.umask(0o077)
    part, rest = sys.argv[1], sys.argv[2:]
    registry = Registry(json.loads(CONFIG.read_text()))
    begin, result = time.monotonic(), {"ok": True, "said": ""}
    try:
        with locked():
            result["said"] = {
                **{
                    "init": registry.init,
                    "backup": registry.backup,
                    "drill": registry.drill,
                    "restore": registry.restore,
                }
            }[part](*rest)
    except Exception as error:
        said = str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
        result = {"ok": False, "said": said}
    if part in ("backup", "drill"):
        registry.tell(part, result["ok"], time.monotonic() - begin, result["said"])
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(result), flush=True)
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()

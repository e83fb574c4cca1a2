"""Move the registry's database to another version of MLflow, or back. Reads JSON; one JSON line says how it ended.

Started as a unit of its own: it goes on when the controller is lost, and there are never two. What to do next is read from
the database, never from memory, so that a run after a power cut knows where it stands:

- The tables are at the old version: nothing was lost yet. Users may have worked since, so a new dump is taken.
- They are not: no server ran on them since the dump (the old unit refuses such tables), so the dump still tells all.

The new version serves on a port of its own until it has proven itself: nobody can write what a return would lose.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from mlflow_data import OLD_AUTH_SCHEMA, Database, Problem, free_bytes, last_words, locked, systemctl, wait_for, write

OPEN = ("begun", "dumped", "migrated")
KEPT = 2
TRIAL = "mlops-onprem-mlflow-trial"
UNIT = "mlops-onprem-mlflow-upgrade.service"
# Not below /run/mlops-onprem: that one is closed to the service.
SCRATCH = Path("/run/mlops-onprem-mlflow-upgrade")
# The login tables join the others, where the new version looks for them.
JOIN = f"""
DO $$
DECLARE one text;
BEGIN
    FOR one IN SELECT format('ALTER TABLE {OLD_AUTH_SCHEMA}.%I SET SCHEMA %I', tablename, current_schema()) FROM pg_tables
               WHERE schemaname = '{OLD_AUTH_SCHEMA}' AND tablename <> 'alembic_version'
    LOOP EXECUTE one; END LOOP;
END $$;
DROP SCHEMA IF EXISTS {OLD_AUTH_SCHEMA} CASCADE;
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Upgrade:
    """wanted: what vars/main/upgrade.yml calls __model_registry_upgrade_input."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.database = Database(wanted["user"], wanted["connection"], wanted["password"])
        self.folder = Path(wanted["folder"])
        self.journal_file = self.folder / "upgrade.json"
        self.journal = json.loads(self.journal_file.read_text()) if self.journal_file.exists() else {}
        self.said = []

    def note(self, text):
        self.said.append(text)

    def record(self, state, **more):
        self.journal.update(more, state=state)
        write(self.journal_file, json.dumps(self.journal, indent=1) + "\n")

    # ---- the steps

    def upgrade(self):
        """From the installed version to the wanted one. The link is left alone: it moves when all this went well."""
        found = self.database.revisions()
        interrupted = self.journal.get("state") in OPEN and self.journal["to"] == self.wanted["version"]
        self.database.refuse_other_clients()
        if found == self.wanted["old_schema"]:
            self.database.check_tools()
            self.check_space()
            self.begin()
        elif not interrupted:
            raise Problem(f"the tables are at {found}, which is neither the old version nor an upgrade that was begun")
        try:
            systemctl("stop", self.wanted["service"])
            if found == self.wanted["old_schema"]:
                self.take_dump()
            else:
                self.note("the interrupted upgrade was taken up again")
            self.migrate()
            self.try_out()
        except Exception as error:
            reason = str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
            raise Problem(f"{reason}. {self.give_back()}") from None
        finally:
            shutil.rmtree(SCRATCH, ignore_errors=True)
        self.record("migrated")
        self.note(f"dump and old configuration are kept in {self.journal['folder']}")

    def check_space(self):
        """Before anything is stopped."""
        needed, free = self.database.size(), free_bytes(self.folder)
        if free < needed:
            raise Problem(
                f"{self.folder} has {free // 2**20} MiB free, and a dump of the database may take {needed // 2**20} MiB: "
                "make room, or set model_registry_backup_dir to a larger disk"
            )

    def begin(self):
        old, new = self.wanted["old_version"], self.wanted["version"]
        folder = self.folder / f"upgrade-{old}-{new}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        files = [path for path in self.wanted["files"] if Path(path).exists()]
        for path in files:
            shutil.copy2(path, folder / Path(path).name)
        link = str(Path(self.wanted["link"]).readlink())
        self.journal = {"from": old, "to": new, "folder": str(folder), "link": link, "files": files}
        self.record("begun")

    def take_dump(self):
        self.database.dump(Path(self.journal["folder"]) / "database.dump")
        self.record("dumped")

    def environment_files(self):
        """The new version's own configuration, which is not in its place yet. Below /run: gone after a restart."""
        SCRATCH.mkdir(mode=0o710, parents=True, exist_ok=True)
        SCRATCH.chmod(0o710)
        shutil.chown(SCRATCH, group=self.wanted["user"])
        write(SCRATCH / "mlflow.env", self.wanted["environment"])
        write(SCRATCH / "basic_auth.ini", self.wanted["auth_config"], 0o640, self.wanted["user"])
        self.port = free_port()
        changes = {"MLFLOW_PORT": self.port, "MLFLOW_WORKERS": 1, "MLFLOW_AUTH_CONFIG_PATH": SCRATCH / "basic_auth.ini"}
        write(SCRATCH / "trial.env", "".join(f"{key}={value}\n" for key, value in changes.items()))
        return [SCRATCH / "mlflow.env", SCRATCH / "trial.env"]

    def as_service(self, *command, options=(), text=""):
        user = self.wanted["user"]
        words = ["systemd-run", "--quiet", "--collect", f"--uid={user}", f"--gid={user}", *options]
        words += [f"--property=EnvironmentFile={path}" for path in self.environment_files()]
        words += [f"--property=WorkingDirectory={self.wanted['temporary_dir']}", f"--property=BindsTo={UNIT}"]
        return subprocess.run([*words, "--", *command], input=text, capture_output=True, text=True, check=False)

    def migrate(self):
        """Idempotent, as MLflow's own migrations are."""
        self.database.query(JOIN)
        command = ("/bin/sh", "-euc", self.wanted["migration"], "sh", self.wanted["programs"])
        answer = self.as_service(*command, options=("--wait", "--pipe"))
        if answer.returncode:
            raise Problem(f"mlflow db upgrade failed: {last_words(answer.stderr + answer.stdout)}")
        if self.database.revisions() != self.wanted["schema"]:
            raise Problem(
                f"after mlflow db upgrade the tables are at {self.database.revisions()}, not at {self.wanted['schema']}"
            )

    def try_out(self):
        """Log, register, name, load; and load what the old version had registered."""
        with contextlib.suppress(Problem):
            systemctl("stop", f"{TRIAL}.service")
        server = [f"{self.wanted['programs']}/mlflow", "server", "--app-name", "basic-auth"]
        started = self.as_service(*server, options=(f"--unit={TRIAL}",))
        if started.returncode:
            raise Problem(f"the new version could not be started: {last_words(started.stderr)}")
        try:
            self.wait_for(f"{TRIAL}.service", self.port)
            question = {key: self.wanted[key] for key in ("admin_user", "admin_password")}
            answer = subprocess.run(
                [f"{self.wanted['programs']}/python", "-c", self.wanted["check"]],
                input=json.dumps({**question, "url": f"http://127.0.0.1:{self.port}"}),
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                cwd="/",
                user=self.wanted["user"],
                group=self.wanted["user"],
                extra_groups=[],
                capture_output=True,
                text=True,
                timeout=self.wanted["timeout"],
                check=False,
            )
            if answer.returncode:
                raise Problem(f"the new version does not work: {last_words(answer.stdout or answer.stderr)}")
            self.note(answer.stdout.strip())
        finally:
            with contextlib.suppress(Problem):
                systemctl("stop", f"{TRIAL}.service")

    def wait_for(self, unit, port):
        wait_for(unit, port, *(self.wanted[key] for key in ("admin_user", "admin_password", "timeout")))

    # ---- the way back

    def give_back(self):
        """The old version, with its tables, its link and its configuration. What was done, as a sentence."""
        try:
            with contextlib.suppress(Problem):
                systemctl("stop", self.wanted["service"])
            dump = Path(self.journal["folder"]) / "database.dump"
            restored = dump.exists()
            if restored:
                self.database.restore(dump)
            for path in self.journal["files"]:
                shutil.copy2(Path(self.journal["folder"]) / Path(path).name, path)
            link = Path(self.wanted["link"])
            part = link.with_name(".current.new")
            part.unlink(missing_ok=True)
            part.symlink_to(self.journal["link"])
            part.rename(link)
            systemctl("daemon-reload")
            with contextlib.suppress(Problem):
                systemctl("reset-failed", self.wanted["service"])
            systemctl("start", self.wanted["service"])
            self.wait_for(self.wanted["service"], self.wanted["port"])
            self.record("returned")
        except (Problem, OSError) as error:
            return (
                f"The way back to MLflow {self.journal['from']} failed, too: {error}. The dump is "
                f"{self.journal['folder']}/database.dump; nothing else may run on this database until it is restored"
            )
        return (
            f"MLflow {self.journal['from']} serves again"
            + (", with its database as it was before the upgrade" if restored else "; the database was not touched")
            + f". The files are kept in {self.journal['folder']}"
        )

    def back(self):
        """For the role, when a later step failed or the operator gives up."""
        if not self.journal:
            raise Problem(f"{self.journal_file} knows of no upgrade that could be undone")
        sentence = self.give_back()
        if self.journal["state"] != "returned":
            raise Problem(sentence)
        self.note(sentence)

    def finish(self):
        """All of it serves: only the newest dumps are kept."""
        self.record("done")
        for old in sorted(self.folder.glob("upgrade-*-*-*Z"), key=lambda path: path.name[-16:])[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def main():
    wanted = json.load(sys.stdin)
    result = {"ok": True, "said": ""}
    try:
        with locked():
            upgrade = Upgrade(wanted)
            {"upgrade": upgrade.upgrade, "back": upgrade.back, "finish": upgrade.finish}[wanted["action"]]()
            result["said"] = "; ".join(upgrade.said)
    except (Problem, OSError) as problem:
        result = {"ok": False, "said": str(problem)}
    # The controller may be gone by now.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(result), flush=True)
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()

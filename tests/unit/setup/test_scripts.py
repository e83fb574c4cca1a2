"""The set-up scripts on a computer where something is missing: one message, what and how to mend it, exit code 1."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
CLOSED = "http://user:secret@127.0.0.1:9/simple"


@pytest.fixture
def commands(tmp_path):
    """A folder in front of PATH; `commands(name, body)` puts a shell script there."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def command(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    command.folder = folder
    return command


def run(script: str, *arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "MLOPS_RETRY_DELAY": "0", **environment}
    if path is not None:
        env["PATH"] = f"{path}:{env['PATH']}"
    return subprocess.run(
        [SCRIPTS / script, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False
    )


def error_of(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 1, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_named_python_that_is_too_old(commands):
    old = commands("python3.9", "exit 1")
    error = error_of(run("python.sh", MLOPS_PYTHON=str(old)))
    assert str(old) in error
    assert "3.11" in error


def test_no_python_that_is_new_enough(commands):
    for version in ("3.14", "3.13", "3.12", "3.11", "3"):
        commands(f"python{version}", 'echo "Python 3.9.2"; [ "$1" = --version ]')
    error = error_of(run("python.sh", path=commands.folder, MLOPS_PYTHON=""))
    assert "Python 3.9.2" in error
    assert "apt-get install" in error


def test_the_newest_python_is_taken(commands):
    commands("python3.14", "exit 0")
    assert run("python.sh", path=commands.folder, MLOPS_PYTHON="").stdout.strip() == str(commands.folder / "python3.14")


def test_no_engine_and_not_root(commands):
    commands("id", "case $1 in -un) echo ada ;; *) echo 1000 ;; esac")
    commands("docker", "exit 1")
    error = error_of(run("engine.sh", path=commands.folder))
    assert "sudo" in error


def test_a_closed_package_index(tmp_path):
    result = run(
        "venv.sh",
        "test",
        MLOPS_CACHE=str(tmp_path),
        PIP_INDEX_URL=CLOSED,
        UV_DEFAULT_INDEX="",
        PIP_RETRIES="0",
        PIP_CONFIG_FILE="/dev/null",
    )
    error = error_of(result)
    assert "http://127.0.0.1:9/simple" in error
    assert "PIP_INDEX_URL" in error
    assert "secret" not in error, "the password of the index is shown"
    assert not list(tmp_path.glob("venv/*/.complete")), "half an environment passes for a whole one"


def test_a_closed_debian_mirror_is_named(commands):
    """Whether or not an image is there already: another mirror is another image."""
    commands("docker", "exit 1")
    error = error_of(run("image.sh", "12", path=commands.folder, MLOPS_DEBIAN_MIRROR="http://127.0.0.1:9/debian"))
    assert "http://127.0.0.1:9/debian" in error
    assert "MLOPS_DEBIAN_MIRROR" in error


def test_an_own_image_that_does_not_exist(commands):
    commands("docker", "exit 1")
    assert "company/debian:1" in error_of(run("image.sh", "12", path=commands.folder, MLOPS_IMAGE="company/debian:1"))


@pytest.mark.parametrize("script", ["image.sh", "vm_image.sh"])
def test_an_unknown_release(script):
    assert "12 and 13" in error_of(run(script, "7"))


def test_an_unknown_kind_of_machine():
    assert "there is gpu" in error_of(run("vm_image.sh", "12", "cpu"))


def test_no_qemu_and_not_root(commands, tmp_path):
    """With a PATH of its own, as this computer may have QEMU."""
    for tool in ("bash", "dirname", "apt-get"):
        (commands.folder / tool).symlink_to(shutil.which(tool) or "/bin/false")
    commands("id", "echo 1000")
    env = {"PATH": str(commands.folder), "HOME": str(tmp_path)}
    result = subprocess.run([SCRIPTS / "qemu.sh"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "sudo apt-get install qemu-system-x86 qemu-utils openssh-client" in error_of(result)


def test_a_scenario_that_does_not_exist():
    assert "nowhere" in error_of(run("molecule.sh", "test", "nowhere"))

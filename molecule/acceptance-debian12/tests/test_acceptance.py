"""A proof is worth what it says when something is broken: each test breaks one thing and reads the answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
ARTIFACTS = "/var/lib/mlflow/artifacts"
STEPS = (
    "log in",
    "log a tiny model",
    "register it",
    "set the alias champion",
    "load it by the alias",
    "predict: 42, as expected",
    "remove it: model, files, run and experiment",
)


class Site:
    """The scenario's site: its state on this computer, and the proof to run again with other variables."""

    def __init__(self, host) -> None:
        self.inventory = Path(host.backend.ansible_runner.inventory_file)
        self.state = self.inventory.parent / ".mlops"
        self.password = (self.state / "secrets/model_registry_admin_password").read_text().strip()

    def prove(self, *options: str, **variables: object) -> tuple[int, str]:
        """Exit code and output of the proof; long messages are wrapped, so blanks are made single."""
        done = subprocess.run(
            ["ansible-playbook", "-i", self.inventory, CONVERGE, "-e", json.dumps(variables), *options],
            env={**os.environ, "ANSIBLE_INJECT_FACT_VARS": "false", "ANSIBLE_PIPELINING": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)

    def refused(self, **variables: object) -> str:
        code, text = self.prove(**variables)
        assert code == 2, text[-3000:]
        return text


@pytest.fixture(scope="module")
def site(host):
    return Site(host)


def left(host) -> list[str]:
    """What is in the registry beside its default experiment: models, experiments that are not deleted, files."""
    query = (
        "SELECT name FROM registered_models UNION ALL "
        "SELECT name FROM experiments WHERE lifecycle_stage = 'active' AND name <> 'Default'"
    )
    rows = host.check_output(f'cd / && runuser -u mlflow -- psql -qtAc "{query}" mlflow')
    files = host.check_output(f"find {ARTIFACTS} -type f")
    return [*rows.split(), *files.split()]


def test_every_step_is_shown_and_nothing_is_left(host, site):
    before = left(host)
    code, text = site.prove()
    assert code == 0, text[-3000:]
    for step in STEPS:
        assert step in text
    assert "changed=0" in text
    assert left(host) == before


@pytest.mark.one_release
def test_the_password_is_not_shown(site):
    code, text = site.prove("-vvv", "--diff")
    assert code == 0, text[-3000:]
    assert site.password not in text


@pytest.mark.one_release
def test_a_wrong_password(host, site):
    text = site.refused(acceptance_registry_password="not the password")
    assert "failed at: FAIL" in text
    assert "log in" in text
    assert "remove it: nothing was made" in text
    assert "log a tiny model" not in text, "it went on after a failed step"


@pytest.mark.one_release
def test_a_certificate_of_another_ca(site, tmp_path):
    other = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
        + ["-subj", "/CN=other", "-keyout", "/dev/null", "-out", other],
        check=True,
        capture_output=True,
    )
    assert "CERTIFICATE_VERIFY_FAILED" in site.refused(acceptance_registry_ca=str(other)).upper()


@pytest.mark.one_release
def test_an_address_without_tls(site):
    assert "must be an https address" in site.refused(acceptance_registry_url="http://registry.example.com")


@pytest.mark.one_release
def test_a_missing_password_file(site):
    text = site.refused(acceptance_registry_password_file="/nonexistent/password")
    assert "/nonexistent/password (missing)" in text
    assert "Nothing was proved" in text


def test_a_registry_without_its_database(host, site):
    host.check_output("systemctl stop postgresql 'postgresql@*'")
    try:
        text = site.refused(acceptance_timeout=10)
    finally:
        host.check_output("systemctl start postgresql")
    assert "failed at: FAIL" in text
    assert "log in" in text


def test_artifacts_that_cannot_be_written(host, site):
    """A later step fails: what the earlier ones made is removed all the same."""
    before = left(host)
    host.check_output(f"chown root {ARTIFACTS}")
    try:
        text = site.refused()
    finally:
        host.check_output(f"chown mlflow {ARTIFACTS}")
    assert "log a tiny model" in text
    assert left(host) == before


@pytest.mark.one_release
def test_an_interrupted_installation_of_the_client_is_repaired(site):
    client = next((site.state / "cache").rglob(".complete")).parent
    (client / ".complete").unlink()
    shutil.rmtree(next(client.glob("lib/python3*/site-packages/pandas")))
    code, text = site.prove()
    assert code == 0, text[-3000:]
    assert (client / ".complete").exists()

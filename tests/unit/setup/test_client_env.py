"""The client kit: what is in the folder works in a shell, is closed, and is refused for those who have no login."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = """
model_registry:
  hosts:
    registry1:
      model_registry_server_name: models.example.test
      model_registry_users:
        - {name: alice}
        - {name: bob, password: "it's $HOME", update_password: on_create}
        - {name: gone, state: absent}
"""


@pytest.fixture
def inventory(tmp_path):
    secrets = tmp_path / ".mlops/secrets"
    (secrets / "ca").mkdir(parents=True)
    (secrets / "ca/ca.pem").write_text("the CA\n")
    (secrets / "model_registry_user_alice").write_text("generated\n")
    path = tmp_path / "hosts.yml"
    path.write_text(INVENTORY)
    return path


def kit(inventory: Path, *more: object) -> tuple[int, str]:
    command = [ROOT / "scripts/client_env.sh", inventory, *more]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def sourced(folder: Path) -> dict[str, str]:
    command = f"env -i HOME=/h sh -c '. {folder}/mlflow.env && env'"
    lines = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith(("MLFLOW_", "REQUESTS_")))


def test_the_kit_of_a_user_with_a_generated_password(inventory):
    code, text = kit(inventory, "alice")
    assert code == 0, text
    folder = inventory.parent / ".mlops/clients/alice"
    assert sourced(folder) == {
        "MLFLOW_TRACKING_URI": "https://models.example.test:443",
        "MLFLOW_TRACKING_USERNAME": "alice",
        "MLFLOW_TRACKING_PASSWORD": "generated",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": "/h/.mlflow/ca.pem",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    }
    assert (folder / "ca.pem").read_text() == "the CA\n"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "mlflow.env")] == [0o700, 0o600]
    assert "generated" not in text


def test_a_given_password_survives_the_shell(inventory, tmp_path):
    code, text = kit(inventory, "bob", tmp_path / "elsewhere")
    assert code == 0, text
    assert sourced(tmp_path / "elsewhere")["MLFLOW_TRACKING_PASSWORD"] == "it's $HOME"
    assert "choose your own" in (tmp_path / "elsewhere/mlflow.env").read_text()
    assert "it's" not in text


@pytest.fixture
def with_bucket(inventory):
    """A registry on the platform's own object store, asked for with the wiring's variable."""
    inventory.write_text(
        INVENTORY
        + """
      model_registry_artifacts_s3: "{{ mlops_registry_bucket }}"
object_store:
  hosts:
    store1:
      object_store_server_name: s3.example.test
      object_store_users:
        - {name: readers, read: [mlflow]}
        - {name: writers, write: [mlflow]}
"""
    )
    (inventory.parent / ".mlops/secrets/object_store_user_writers").write_text("a generated key\n")
    return inventory


def test_who_does_not_reach_the_bucket_goes_through_the_registry(with_bucket):
    code, text = kit(with_bucket, "alice")
    assert code == 0, text
    folder = with_bucket.parent / ".mlops/clients/alice"
    assert sourced(folder)["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] == "false"
    assert not (folder / "s3-ca.pem").exists() and "a generated key" not in (folder / "mlflow.env").read_text()


def test_who_reaches_the_bucket_gets_its_ca(with_bucket):
    with_bucket.write_text(with_bucket.read_text() + "all:\n  vars:\n    mlops_client_reaches_s3: true\n")
    code, text = kit(with_bucket, "alice")
    assert code == 0, text
    folder = with_bucket.parent / ".mlops/clients/alice"
    found = sourced(folder)
    assert found["REQUESTS_CA_BUNDLE"] == "/h/.mlflow/s3-ca.pem" and (folder / "s3-ca.pem").read_text() == "the CA\n"
    assert not [name for name in found if "MULTIPART" in name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "There is no 'gone' in model_registry_users of registry1"),
        ("", "name an inventory that exists and a user"),
    ],
)
def test_nobody_else_gets_one(inventory, name, words):
    code, text = kit(inventory, name)
    assert code != 0
    assert words in " ".join(text.replace("''", "'").split())
    assert not (inventory.parent / ".mlops/clients").exists()

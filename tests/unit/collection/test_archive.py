"""What `ansible-galaxy collection build` packs: the collection, and nothing of the site that it was built on."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_an_archive_holds_no_secret_and_no_cache(tmp_path):
    copied = subprocess.run([ROOT / "scripts/copy.sh", tmp_path], check=True, capture_output=True, text=True)
    collection = Path(copied.stdout.strip())
    for path in ("inventories/lab/.mlops/secrets/password", "plugins/__pycache__/a.pyc", ".ruff_cache/a", ".build/a"):
        (collection / path).parent.mkdir(parents=True, exist_ok=True)
        (collection / path).write_text("canary")
    command = [
        ROOT / ".build/venv/test/bin/ansible-galaxy",
        "collection",
        "build",
        collection,
        "--output-path",
        tmp_path,
    ]
    subprocess.run(command, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    assert "playbooks/site.yml" in names
    assert not [name for name in names if ".mlops" in name or "cache" in name or name.startswith(".build")]

"""The template of a model repository: its pipeline file is a right one, and its evaluation has a threshold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .test_pipeline import pipeline

TEMPLATE = Path(__file__).resolve().parents[3] / "docs/templates/pipeline"


def test_the_pipeline_file_is_right():
    found = pipeline.parse((TEMPLATE / ".mlops/pipeline.yml").read_text())
    assert [step.name for step in found.steps] == ["environment", "train", "evaluate", "register"]
    assert found.promote == "main"


def run(folder, program, **environment):
    return subprocess.run(
        [sys.executable, program],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_model_is_trained_and_evaluated_against_the_threshold(tmp_path):
    shutil.copytree(TEMPLATE, tmp_path / "model")
    folder = tmp_path / "model"
    assert run(folder, "train.py").returncode == 0
    good = run(folder, "evaluate.py")
    assert good.returncode == 0, good.stderr
    assert json.loads((folder / "out/evaluation.json").read_text())["mean_error"] < 0.15
    bad = run(folder, "evaluate.py", THRESHOLD="0.001")
    assert bad.returncode == 1 and "threshold 0.001" in bad.stdout

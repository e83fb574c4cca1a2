"""Take a tiny model into the registry and back, as a user would. Reads JSON; writes one JSON line for each step.

The password comes on the standard input and goes into the environment of this process only.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
import warnings

EXPECTED = 42.0


def prepare(wanted):
    """Before mlflow is imported: it reads these once."""
    os.environ.update(
        MLFLOW_TRACKING_URI=wanted["url"],
        MLFLOW_TRACKING_USERNAME=wanted["user"],
        MLFLOW_TRACKING_PASSWORD=wanted["password"],
        MLFLOW_TRACKING_SERVER_CERT_PATH=wanted["ca"],
        MLFLOW_HTTP_REQUEST_TIMEOUT=str(wanted["timeout"]),
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="2",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        # Through the registry, wherever it has its files: a bucket need not be reachable from here.
        MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="false",
        MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="false",
        # Some libraries look here instead; the site's CA is in none of the bundles that they bring.
        REQUESTS_CA_BUNDLE=wanted["ca"],
        SSL_CERT_FILE=wanted["ca"],
        GIT_PYTHON_REFRESH="quiet",
    )
    warnings.filterwarnings("ignore")


class Proof:
    """Each method is a step; what a step makes is remembered for the removal."""

    def __init__(self, wanted):
        import logging

        import mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        self.mlflow = mlflow
        self.client = mlflow.MlflowClient()
        self.name = f"mlops-onprem-acceptance-{uuid.uuid4().hex[:12]}"
        self.user = wanted["user"]
        self.experiment = self.files = self.run = self.logged = self.model = None
        self.version = None

    def log_in(self):
        self.client.search_experiments(max_results=1)
        return f"as {self.user}"

    def log_a_model(self):
        mlflow = self.mlflow

        class Answer(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return model_input["x"] * 2.0

        self.experiment = self.client.create_experiment(self.name)
        self.files = self.client.get_experiment(self.experiment).artifact_location
        with mlflow.start_run(experiment_id=self.experiment) as run:
            self.run = run.info.run_id
            # Given requirements: finding them out would load the model in another process.
            info = mlflow.pyfunc.log_model(name="model", python_model=Answer(), pip_requirements=["mlflow-skinny"])
        self.logged = info.model_id
        self.uri = info.model_uri
        return f"run {self.run[:8]}"

    def register_it(self):
        self.client.create_registered_model(self.name)
        self.model = self.name
        self.version = self.client.create_model_version(
            self.name, self.uri, run_id=self.run, model_id=self.logged
        ).version
        return f"{self.name} version {self.version}"

    def name_it_champion(self):
        self.client.set_registered_model_alias(self.name, "champion", self.version)
        return ""

    def load_it_by_alias(self):
        self.loaded = self.mlflow.pyfunc.load_model(f"models:/{self.name}@champion")
        return f"models:/{self.name}@champion"

    def predict(self):
        import pandas

        found = float(self.loaded.predict(pandas.DataFrame({"x": [EXPECTED / 2]})).iloc[0])
        if found != EXPECTED:
            raise ValueError(f"predicted {found}, expected {EXPECTED}")
        return f"{found:g}, as expected"

    def remove_files(self, address):
        """A deleted run keeps its files until an administrator collects the garbage. Ours are gone at once."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(address).delete_artifacts()

    def remove_it(self):
        """All that was made, even when a part of it cannot be removed."""
        problems = []
        for made, remove in (
            (self.model, self.client.delete_registered_model),
            (self.files, self.remove_files),
            (self.logged, self.client.delete_logged_model),
            (self.run, self.client.delete_run),
            (self.experiment, self.client.delete_experiment),
        ):
            if made:
                try:
                    remove(made)
                except Exception as error:
                    problems.append(f"{made}: {error}")
        if problems:
            raise RuntimeError("; ".join(problems))
        return "model, files, run and experiment" if self.experiment else "nothing was made"


def step(title, work):
    started = time.monotonic()
    try:
        detail, good = work(), True
    except Exception as error:
        detail, good = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", False
    line = f"{'ok  ' if good else 'FAIL'} {time.monotonic() - started:6.2f} s  {title}{': ' if detail else ''}{detail}"
    print(json.dumps({"ok": good, "line": line}), flush=True)
    return good


def main():
    wanted = json.load(sys.stdin)
    prepare(wanted)
    proof = Proof(wanted)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for title, work in (
            ("log in", proof.log_in),
            ("log a tiny model", proof.log_a_model),
            ("register it", proof.register_it),
            ("set the alias champion", proof.name_it_champion),
            ("load it by the alias", proof.load_it_by_alias),
            ("predict", proof.predict),
        ):
            good = good and step(title, work)
        good = step("remove it", proof.remove_it) and good
        os.chdir("/")
    sys.exit(0 if good else 1)


main()

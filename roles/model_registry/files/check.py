"""Prove that a registry works: log, register, name and load a tiny model, and open one that was there before.

Run with the registry's own Python, as the service's user. Reads JSON: url, admin_user, admin_password. One line says how it went.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import uuid
import warnings
from pathlib import Path

PREFIX = "mlops-onprem-check-"


def prepare(wanted):
    """Before mlflow is imported: it reads these once."""
    os.environ.update(
        MLFLOW_TRACKING_URI=wanted["url"],
        MLFLOW_TRACKING_USERNAME=wanted["admin_user"],
        MLFLOW_TRACKING_PASSWORD=wanted["admin_password"],
        MLFLOW_HTTP_REQUEST_TIMEOUT="60",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="2",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        # Through the server, wherever it has its files.
        MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="false",
        MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="false",
        GIT_PYTHON_REFRESH="quiet",
        HOME=str(Path.cwd()),
    )
    warnings.filterwarnings("ignore")


def new_model(mlflow, client):
    """There and back, then removed: files, model, run, experiment."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    class Double(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["x"] * 2.0

    name = PREFIX + uuid.uuid4().hex[:12]
    experiment = client.create_experiment(name)
    try:
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_metric("loss", 0.5)
            # Given requirements: finding them out would load the model in another process.
            info = mlflow.pyfunc.log_model(name="model", python_model=Double(), pip_requirements=["mlflow-skinny"])
        client.create_registered_model(name)
        try:
            version = client.create_model_version(name, info.model_uri, run_id=run.info.run_id, model_id=info.model_id)
            client.set_registered_model_alias(name, "champion", version.version)
            import pandas

            loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
            found = float(loaded.predict(pandas.DataFrame({"x": [21.0]})).iloc[0])
            if found != 42.0:
                raise ValueError(f"the model that was loaded by its alias predicts {found}, not 42")
        finally:
            client.delete_registered_model(name)
        client.delete_logged_model(info.model_id)
        client.delete_run(run.info.run_id)
    finally:
        get_artifact_repository(client.get_experiment(experiment).artifact_location).delete_artifacts()
        client.delete_experiment(experiment)


def old_model(mlflow, client):
    """The first one whose description can be read: its code is not run, since it may be anybody's. The name, or ""."""
    problem = None
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    for model in client.search_registered_models(max_results=50):
        versions = client.search_model_versions(f"name = '{model.name}'", max_results=1)
        if model.name.startswith(PREFIX) or not versions:
            continue
        uri = f"models:/{model.name}/{versions[0].version}"
        try:
            with tempfile.TemporaryDirectory() as folder:
                Model.load(download_artifacts(artifact_uri=f"{uri}/MLmodel", dst_path=folder))
            return f"{model.name} version {versions[0].version}"
        # Its files may have been lost long ago: another one may open.
        except Exception as error:
            problem = problem or ValueError(f"{uri}: {type(error).__name__}: {error}")
    if problem:
        raise problem
    return ""


def main():
    wanted = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare(wanted)
        step = "start MLflow's client"
        try:
            import mlflow

            logging.getLogger("mlflow").setLevel(logging.ERROR)
            client = mlflow.MlflowClient()
            step = "open a model of before"
            old = old_model(mlflow, client)
            step = "log, register and load a new model"
            new_model(mlflow, client)
        except Exception as error:
            # What the libraries print goes elsewhere: one line is the answer.
            sys.__stdout__.write(f"could not {step}: {type(error).__name__}: {' '.join(str(error).split())[:400]}\n")
            sys.exit(1)
        finally:
            os.chdir("/")
    sys.__stdout__.write(
        f"a new model was logged, registered and loaded; {old + ' opens' if old else 'there was no older one'}\n"
    )


if __name__ == "__main__":
    sys.stdout = sys.stderr
    main()

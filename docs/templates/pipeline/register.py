"""Register what was trained as a version of the model. On the branch that is promoted, move the alias to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mlflow

ALIAS = os.environ.get("ALIAS", "champion")


class Line(mlflow.pyfunc.PythonModel):
    """The model as the registry serves it."""

    def __init__(self, slope: float, intercept: float) -> None:
        self.slope, self.intercept = slope, intercept

    def predict(self, model_input: list[float]) -> list[float]:
        return [self.slope * x + self.intercept for x in model_input]


def main() -> None:
    name = os.environ.get("MODEL", os.environ["MLOPS_PROJECT"])
    evaluation = json.loads(Path("out/evaluation.json").read_text())
    mlflow.set_experiment(f"{name}-ci")
    with mlflow.start_run(run_name=f"build {os.environ['MLOPS_BUILD']}"):
        mlflow.log_metric("mean_error", evaluation["mean_error"])
        mlflow.set_tags({"commit": os.environ["MLOPS_REVISION"], "branch": os.environ["MLOPS_BRANCH"]})
        model = Line(**json.loads(Path("out/model.json").read_text()))
        logged = mlflow.pyfunc.log_model(name="model", python_model=model, registered_model_name=name)
    version = logged.registered_model_version
    print(f"{name} version {version}")
    if os.environ["MLOPS_PROMOTE"] == "true":
        mlflow.MlflowClient().set_registered_model_alias(name, ALIAS, version)
        print(f"{name}@{ALIAS} is version {version}")


if __name__ == "__main__":
    main()

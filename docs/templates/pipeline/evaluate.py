"""Hold the model against data that it has not seen. Ends with 1, and so ends the build, where it is worse than the threshold."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from train import points

# The largest mean error that is good enough.
THRESHOLD = float(os.environ.get("THRESHOLD", "0.15"))


def main() -> None:
    model = json.loads(Path("out/model.json").read_text())
    data = points(seed=2)
    error = sum(abs(model["slope"] * x + model["intercept"] - y) for x, y in data) / len(data)
    Path("out/evaluation.json").write_text(json.dumps({"mean_error": error, "threshold": THRESHOLD}))
    print(f"mean error {error:.4f}, threshold {THRESHOLD}")
    sys.exit(error > THRESHOLD)


if __name__ == "__main__":
    main()

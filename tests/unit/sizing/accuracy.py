"""Hold our sizing against published figures, and make docs/sizing-accuracy.md of it.

accuracy.py --output FILE       (scripts/sizing_accuracy.sh sets up what it needs)
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

from accuracy_data import BYTES_OF, NOT_MODELLED, POINTS, WITHIN, WRONG, Point, Wrong
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.derive import workload_requirements

PAGE = Path(__file__).resolve().parents[3] / "docs/sizing-accuracy.md"
ENDS = ("low", "expected", "high")
MET = {
    "formula": "within 2 %",
    "recipe": "within 15 %",
    "band": "in the band",
    "at least": "above the bound",
    "at most": "below the bound",
}
HEAD = """<!-- Made by `make sizing-accuracy` from tests/unit/sizing/accuracy_data.py; a test compares the two. Do not edit. -->
# How near the sizing comes

Published figures of real models, held against what `mlops.onprem.workload_requirements` computes for the same recipe. Formulas and
limits: [sizing.md](sizing.md).

- *Measured* figures are peaks that somebody read off a running program; *estimates* are other people's formulas. An estimate that is
  met says that we read the formula right, not that a machine agrees.
- Where a figure is exact or follows from the same formula, our value has to lie within 2 % of it; where the recipe is known, within
  15 %. Where it is not fully known, the figure has to lie in our band; what was assumed is said. A bound (more than, less than) has
  to be kept.
- The deviation is that of our expected value, unless the row says that another end is compared.
- Peaks of training libraries are compared with the tensors of a step, without what CUDA and NCCL take beside them.
- A unit may differ from what the source writes: some write GB and mean GiB.
- Constants that such figures decided: 56 bytes for an activation (D23), embedding's states of 8-bit optimizers in 32 bits (D15 and D17,
  whose sources do not say it), the next layer's weights under zero3 (D19), the band of a process on the host (D20, D21), the bands
  of serving (D5). These rows are no independent proof.

"""


@dataclass(frozen=True)
class Result:
    """Our band in the unit of the figure, and whether the figure is met."""

    band: tuple[float, float, float]
    compared: float
    deviation: float
    met: bool


def band(quantities: tuple[str, ...], workload: dict[str, object], unit: str) -> tuple[float, float, float]:
    needs = workload_requirements([{"name": "w", **workload}])[0]["requirements"]
    low, expected, high = (sum(needs[name][end] for name in quantities) / BYTES_OF[unit] for end in ENDS)
    return low, expected, high


def half_a_digit(amount: float) -> float:
    """Half of the last digit that a figure is written with: 52 may be anything from 51.5 to 52.5."""
    decimals = str(amount).partition(".")[2]
    return 0.5 * 10 ** -len(decimals)


def result(point: Point) -> Result:
    ours = band(point.quantities, point.workload, point.unit)
    compared, slack = ours[ENDS.index(point.end)], half_a_digit(point.amount)
    met = {
        "formula": abs(compared / point.amount - 1) <= WITHIN["formula"],
        "recipe": abs(compared / point.amount - 1) <= WITHIN["recipe"],
        "band": ours[0] - slack <= point.amount <= ours[2] + slack,
        "at least": compared > point.amount,
        "at most": compared < point.amount,
    }[point.rule]
    return Result(ours, compared, compared / point.amount - 1, met)


def is_right(wrong: Wrong) -> bool:
    """Whether ours is the right value, and nearer to it than a tenth of the way to the wrong one."""
    ours = band(wrong.quantities, wrong.workload, wrong.unit)[1]
    return abs(ours - wrong.right) < abs(wrong.wrong - wrong.right) / 10


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _table(*titles: str) -> str:
    return _row(*titles) + _row(*("---" for title in titles))


def _spread(results: list[tuple[Point, Result]]) -> str:
    off = [abs(found.deviation) for point, found in results]
    return f"half lie within {statistics.median(off):.1%} and the worst is {max(off):.1%} off"


def _summary(results: list[tuple[Point, Result]]) -> str:
    met = sum(found.met for point, found in results)
    peaks = [(point, found) for point, found in results if point.measured and point.rule == "recipe"]
    full = [
        point.amount * BYTES_OF[point.unit] / point.workload["model"]["parameters"]
        for point in POINTS
        if point.measured and point.workload.get("method") == "full" and point.rule in ("recipe", "band")
        if point.workload.get("gpus", 1) == 1
    ]
    loose = [(point, found) for point, found in results if point.rule == "band"]
    return (
        f"{len(results)} figures, {met} met. Of the {len(peaks)} measured with a known recipe, {_spread(peaks)}. Of the "
        f"{len(loose)} whose recipe is not fully known, {_spread(loose)}: there, the band is the answer.\n\n"
        f'"Full fine-tuning" alone is no recipe: measured peaks of it on one GPU lie between {min(full):.1f} and {max(full):.1f} bytes '
        "for a parameter. So optimizer, precision, sharding, offload, batch and checkpointing are inputs.\n\n"
    ).replace("%", " %")


def render() -> str:
    """Return the page."""
    results = [(point, result(point)) for point in POINTS]
    text = HEAD + _summary(results) + "## Figures\n"
    text += _table(
        "id", "configuration", "published", "ours: low / expected / high", "deviation", "kind", "verdict", "source"
    )
    for point, found in results:
        text += _row(
            point.id,
            f"{point.what} ({point.note})" if point.note else point.what,
            f"{point.amount:,} {point.unit}",
            " / ".join(_number(value) for value in found.band),
            f"{found.deviation:+.1%}".replace("%", " %"),
            "measured" if point.measured else "estimate",
            MET[point.rule] if found.met else "NOT MET",
            point.source,
        )
    text += "\n## Not modelled\n" + _table("id", "figure", "why", "source")
    for left in NOT_MODELLED:
        text += _row(left.id, left.what, left.why, left.source)
    text += "\n## Published and wrong\nThese must not come out.\n\n"
    text += _table("configuration", "published", "ours", "the published figure", "source")
    for wrong in WRONG:
        ours = band(wrong.quantities, wrong.workload, wrong.unit)[1]
        text += _row(
            wrong.what, f"{_number(wrong.wrong)} {wrong.unit}", f"{_number(ours)} {wrong.unit}", wrong.why, wrong.source
        )
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.parse_args().output.write_text(render())

"""The page of the support matrix is what the tables say."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.unverified import UNVERIFIED

from . import page
from .hosts import AMD, SYSTEMS, choose, every_nvidia, facts


def test_the_page_is_what_is_computed():
    assert page.PAGE.read_text() == page.render(), "run: make gpu-page"


def test_no_unverified_fact_is_left_behind():
    """Each is told by some selection, or its sentence is about nothing."""
    told = {row["fact"] for _options, result in every_nvidia() for row in result["unverified"]}
    parts = {"fabric_manager": True, "nscq": True, "mig_parted": True, "dcgm": True}
    for system in SYSTEMS:
        for cards in (["Blackwell"], ["10de:2901"], *([name] for name in AMD.values()), ["1002:738c"]):
            for source in ("vendor", "distribution"):
                for more in ({}, {"parts": parts}):
                    told |= {row["fact"] for row in choose(facts(system, *cards), source=source, **more)["unverified"]}
    told |= told_of("rhel9", "Ampere", flavour="proprietary", module="precompiled")
    told |= told_of("rhel9", "Ampere", system={"os": {"id": "almalinux", "version_id": "9.6"}})
    assert set(UNVERIFIED) - told == set()


def told_of(name, *cards, system=None, **options):
    return {row["fact"] for row in choose(facts(name, *cards, system=system), **options)["unverified"]}

"""Every role keeps the same promises on paper: specs, defaults, README, scenarios, mutations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
RELEASES = ("debian12", "debian13")
TYPES = {
    "str": str,
    "int": int,
    "bool": bool,
    "list": list,
    "dict": dict,
    "float": (int, float),
    "path": str,
    "raw": object,
}
TEMPLATED = re.compile(r"{{|{%")


def load(path: Path):
    return yaml.safe_load(path.read_text()) if path.exists() else None


def defaults(role: str) -> dict:
    return load(ROOT / "roles" / role / "defaults/main.yml") or {}


def entry_points(role: str) -> dict:
    return load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]


def options(role: str) -> dict:
    """All options of all entry points of a role; an option that two entry points share must read the same."""
    found: dict = {}
    for spec in entry_points(role).values():
        for name, option in spec.get("options", {}).items():
            if name in found:
                assert {k: found[name].get(k) for k in ("type", "default")} == {
                    k: option.get(k) for k in ("type", "default")
                }, name
            found[name] = option
    return found


def test_there_are_roles():
    assert ROLES


@pytest.mark.parametrize("role", ROLES)
def test_has_a_readme_that_names_the_role(role):
    text = (ROOT / "roles" / role / "README.md").read_text()
    assert role in text.splitlines()[0]
    assert "module execution" in text, "a role's README states the number of module executions of its no-change run"


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_a_spec(role):
    tasks = ROOT / "roles" / role / "tasks"
    specs = entry_points(role)
    assert set(specs) <= {path.stem for path in tasks.glob("*.yml")}, "a spec without a task file"
    assert "main" in specs
    for name, spec in specs.items():
        assert spec.get("short_description"), name
        for option, data in spec.get("options", {}).items():
            assert data.get("description"), f"{name}: {option} has no description"
            assert data.get("type"), f"{name}: {option} has no type"
            assert option.startswith(f"{role}_"), f"{name}: {option} lacks the role's prefix"


@pytest.mark.parametrize("role", ROLES)
def test_specs_equal_defaults(role):
    """Core neither applies nor converts a spec's default: if the two differ, the documentation lies."""
    spec, real = options(role), defaults(role)
    assert set(real) <= set(spec), f"defaults without a spec: {set(real) - set(spec)}"
    for name, option in spec.items():
        if option.get("required"):
            assert name not in real, f"{name} is required and has a default"
            continue
        if name not in real:
            assert "default" not in option, f"{name} has a default in the spec only"
            continue
        value = real[name]
        if isinstance(value, str) and TEMPLATED.search(value):
            # The text of a templated default cannot be a value of another type: the spec explains it in words.
            assert "default" not in option or option["default"] == value, name
            continue
        assert option.get("default") == value, f"{name}: spec {option.get('default')!r}, defaults {value!r}"
        if value is not None:
            assert isinstance(value, TYPES[option["type"]]), f"{name}: {value!r} is not {option['type']}"


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_a_comment(role):
    lines = (ROOT / "roles" / role / "defaults/main.yml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z_]+:", line):
            assert lines[number - 1].startswith("#"), f"{line} has no comment above it"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("release", RELEASES)
def test_has_a_scenario_with_tests(role, release):
    scenario = ROOT / "molecule" / f"{role}-{release}"
    for name in ("molecule.yml", "inventory.yml"):
        assert (scenario / name).exists(), f"{scenario.name} has no {name}"
    # A scenario brings its own playbook and tests, or names those of its sibling.
    config = load(scenario / "molecule.yml") or {}
    converge = config.get("ansible", {}).get("playbooks", {}).get("converge", str(scenario / "converge.yml"))
    assert Path(converge.replace("${MOLECULE_PROJECT_DIRECTORY}", str(ROOT))).exists(), f"{scenario.name}: {converge}"
    tests = [
        line
        for path in (scenario / config.get("verifier", {}).get("directory", "tests")).glob("test_*.py")
        for line in path.read_text().splitlines()
        if line.startswith("def test_")
    ]
    assert tests, f"{scenario.name} has no test: molecule would call that a success"
    image = next(iter(load(scenario / "inventory.yml")["molecule"]["hosts"].values()))["container_image"]
    assert image == f"mlops-onprem/debian:{release.removeprefix('debian')}"


@pytest.mark.parametrize("role", ROLES)
def test_has_mutations(role):
    data = load(ROOT / "tests/mutations" / f"{role}.yml")
    assert (ROOT / "molecule" / data["scenario"]).is_dir()
    assert len(data["mutations"]) >= 5
    assert len({mutation["name"] for mutation in data["mutations"]}) == len(data["mutations"])
    for mutation in data["mutations"]:
        text = (ROOT / mutation["file"]).read_text()
        assert text.count(mutation["find"]) == 1, (
            f"{mutation['name']}: the text to find is not in {mutation['file']} once"
        )
        assert mutation["find"] != mutation["replace"]
        if mutation["caught_by"] == "verify":
            tests = "".join(path.read_text() for path in (ROOT / "molecule" / data["scenario"] / "tests").glob("*.py"))
            assert f"def {mutation['test']}(" in tests, mutation["test"]


def yaml_files():
    for folder in ("roles", "playbooks", "molecule"):
        yield from (ROOT / folder).rglob("*.yml")


def test_task_files_are_named_without_an_ending():
    """With `.yml`, core looks for an argument spec of that literal name, finds none, and validates nothing."""
    bad = [str(path) for path in yaml_files() if re.search(r"tasks_from: .*\.ya?ml", path.read_text())]
    assert not bad


def test_nothing_is_hidden_from_the_tests():
    bad = [
        str(path) for path in yaml_files() if re.search("molecule-idempotence-notest|molecule-notest", path.read_text())
    ]
    assert not bad


def test_roles_know_no_group():
    groups = load(ROOT / "playbooks/group_vars/all/groups.yml")["mlops_group_profiles"]
    for path in (ROOT / "roles").rglob("*.yml"):
        assert not re.search(r"\bgroups\[|\bgroup_names\b", path.read_text()), path
    assert groups


def test_dependencies_are_bounded():
    for name, bounds in load(ROOT / "galaxy.yml")["dependencies"].items():
        assert re.fullmatch(r">=[\d.]+,<[\d.]+", bounds), f"{name}: {bounds}"

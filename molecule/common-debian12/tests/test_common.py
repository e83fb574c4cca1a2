"""The entry points as they are seen from outside, and what they do when something is not as they left it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

from again import Again  # noqa: E402

CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
TLS = "/etc/mlops-onprem/tls/demo"
ASK = (
    "import ssl, sys, urllib.request as u; c = ssl.create_default_context(cafile=sys.argv[1]); "
    "print(u.urlopen('https://localhost:8443/', context=c, timeout=10).read().decode(), end='')"
)


class Scenario(Again):
    """The scenario's container, and its site's secrets on this computer."""

    def __init__(self, host) -> None:
        super().__init__(host, CONVERGE)
        self.secrets = self.inventory.parent / ".mlops/secrets"


@pytest.fixture
def scenario(host):
    return Scenario(host)


def ask(host) -> str:
    """What the service answers over TLS, verified with the CA that the role installed."""
    command = host.run(f'python3 -c "{ASK}" {TLS}/ca.pem')
    assert command.rc == 0, command.stderr
    return command.stdout


def certificate(host, field: str) -> str:
    return host.check_output(f"openssl x509 -in {TLS}/cert.pem -noout -{field}")


# What is there after the run


def test_the_service_answers_over_tls(host):
    assert ask(host) == "first"


def test_the_private_key_is_private(host):
    key = host.file(f"{TLS}/key.pem")
    assert (key.mode, key.user, key.group) == (0o640, "root", "root")


def test_the_certificate_is_for_its_names_and_from_the_site_ca(host):
    assert host.run(f"openssl verify -CAfile {TLS}/ca.pem {TLS}/cert.pem").rc == 0
    names = host.check_output(f"openssl x509 -in {TLS}/cert.pem -noout -ext subjectAltName")
    for name in ("DNS:demo.example.com", "DNS:localhost", "IP Address:127.0.0.1"):
        assert name in names


def test_the_system_trusts_the_site_ca(host):
    assert host.run(f"openssl verify -CApath /etc/ssl/certs {TLS}/cert.pem").rc == 0


@pytest.mark.one_release
def test_the_ca_key_is_private_and_only_here(host, scenario):
    key = scenario.secrets / "ca/ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert scenario.secrets.stat().st_mode & 0o777 == 0o700
    assert host.run("find /etc /opt /srv /root -name ca.key").stdout == ""


def test_the_unit_is_hardened(host):
    score = host.check_output("systemd-analyze security demo.service --no-pager | tail -n 1")
    assert float(re.search(r"(\d+\.\d+)", score)[1]) <= 3.0
    shown = host.check_output(
        "systemctl show demo.service --property=NoNewPrivileges,ProtectSystem,CapabilityBoundingSet,PrivateDevices,User"
    )
    assert set(shown.splitlines()) == {
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "PrivateDevices=yes",
        "User=demo",
    }


def test_the_service_cannot_change_its_code(host):
    assert host.run("su demo -s /bin/sh -c 'touch /opt/demo/current/x'").rc != 0
    assert host.run("su demo -s /bin/sh -c 'cat /opt/demo/current/requirements.txt'").rc == 0


def test_the_link_points_to_a_complete_version(host):
    assert host.file("/opt/demo/current").linked_to.startswith("/opt/demo/1-")
    assert host.file("/opt/demo/current/.complete").exists


def test_a_unit_of_the_distribution_records_what_it_read(host):
    assert host.run("sha256sum --check --status /run/mlops-onprem/systemd-journald.service-demo.sha256").rc == 0


# What a later run does


@pytest.mark.one_release
def test_a_lost_restart_is_made_up_for(host, scenario):
    """A run that was killed between writing the configuration and restarting: the next run sees nothing to write."""
    host.run("printf second > /etc/demo.conf")
    assert ask(host) == "first"
    assert scenario.changed(demo_text="second") == 2, "the service and the distribution's unit"
    assert ask(host) == "second"
    assert scenario.changed(demo_text="second") == 0
    scenario.changed()
    assert ask(host) == "first"


def test_a_stopped_service_is_started(host, scenario):
    host.check_output("systemctl stop demo.service")
    assert scenario.changed() == 1
    assert ask(host) == "first"


@pytest.mark.one_release
def test_a_certificate_is_renewed_with_the_same_key(host, scenario):
    serial, key = certificate(host, "serial"), host.file(f"{TLS}/key.pem").sha256sum
    scenario.changed(common_tls_renew_days=400, common_tls_valid_days=800)
    assert certificate(host, "serial") != serial
    assert host.file(f"{TLS}/key.pem").sha256sum == key
    assert ask(host) == "first"


@pytest.mark.one_release
def test_a_key_that_others_can_read_is_put_right(host, scenario):
    host.check_output(f"chmod 644 {TLS}/key.pem")
    scenario.changed()
    assert host.file(f"{TLS}/key.pem").mode == 0o640


def test_an_interrupted_installation_is_repaired(host, scenario):
    version = host.file("/opt/demo/current").linked_to
    host.check_output(f"sh -c 'rm {version}/.complete && rm -r {version}/lib/python3*/site-packages/packaging'")
    scenario.changed()
    assert host.run("/opt/demo/current/bin/python -c 'import packaging'").rc == 0


@pytest.mark.one_release
def test_another_version_and_the_way_back(host, scenario):
    scenario.changed(demo_version="2")
    assert host.file("/opt/demo/current").linked_to.startswith("/opt/demo/2-")
    assert scenario.changed(demo_version="1") == 1, "the way back is the link and nothing else"
    assert host.file("/opt/demo/current").linked_to.startswith("/opt/demo/1-")


def test_a_wheelhouse_needs_no_index(host, scenario):
    host.check_output(
        "/opt/demo/current/bin/pip download --quiet --require-hashes -r /opt/demo/current/requirements.txt -d /srv/wheels"
    )
    scenario.changed(
        demo_version="3", common_python_app_wheelhouse="/srv/wheels", common_pip_index_url="http://127.0.0.1:9/simple"
    )
    assert host.file("/opt/demo/current").linked_to.startswith("/opt/demo/3-")
    scenario.changed()


# What is refused


def test_a_package_source_that_does_not_answer(host, scenario):
    host.check_output(
        "sh -c 'mkdir /root/aside && mv /etc/apt/sources.list* /var/lib/apt/lists /root/aside/ "
        "&& mkdir -p /etc/apt/sources.list.d /var/lib/apt/lists/partial "
        "&& echo deb http://ada:hunter2@127.0.0.1:9/debian stable main > /etc/apt/sources.list'"
    )
    try:
        said = scenario.refused(common_packages=["sl"])
    finally:
        host.check_output(
            "sh -c 'rm -r /etc/apt/sources.list* /var/lib/apt/lists && cd /root/aside && mv sources.list* /etc/apt/ "
            "&& mv lists /var/lib/apt/ && rmdir /root/aside'"
        )
    assert "could not install sl from http://127.0.0.1:9/debian" in said
    assert "hunter2" not in said


@pytest.mark.one_release
def test_an_index_that_does_not_answer(host, scenario):
    said = scenario.refused(
        demo_version="4",
        common_pip_index_url="http://ada:hunter2@127.0.0.1:9/simple",
        common_python_app_pip_args="--retries=0",
    )
    assert "http://127.0.0.1:9/simple" in said
    assert "hunter2" not in said
    assert host.file("/opt/demo/current").linked_to.startswith("/opt/demo/1-"), (
        "a version that is not complete is in use"
    )


@pytest.fixture
def given(tmp_path):
    """Make a certificate of a CA of its own; returns the variables that give it to the role."""

    def make(name: str = "localhost", days: str = "30") -> dict[str, str]:
        files = {part: str(tmp_path / f"{part}.pem") for part in ("key", "cert")}
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days]
            + ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:demo.example.com,DNS:{name},IP:127.0.0.1"]
            + ["-keyout", files["key"], "-out", files["cert"]],
            check=True,
            capture_output=True,
        )
        return {"common_tls_certificate": files["cert"], "common_tls_key": files["key"], "common_tls_ca": files["cert"]}

    return make


def test_a_given_certificate_is_used(host, scenario, given):
    scenario.changed(**given())
    assert host.file(f"{TLS}/cert.pem").content_string.strip() == host.file(f"{TLS}/ca.pem").content_string.strip()
    assert ask(host) == "first"
    scenario.changed()
    assert host.run(f"openssl verify -CApath /etc/ssl/certs {TLS}/cert.pem").rc == 0


@pytest.mark.one_release
def test_an_expired_certificate(host, scenario, given):
    before = host.file(f"{TLS}/cert.pem").sha256sum
    files = given()
    # Expired since 2020, made by moving the clock of the one who signs.
    subprocess.run(
        [
            "openssl",
            "x509",
            "-in",
            files["common_tls_certificate"],
            "-signkey",
            files["common_tls_key"],
            "-days",
            "-1",
            "-out",
            files["common_tls_certificate"] + ".old",
        ],
        check=True,
        capture_output=True,
    )
    files["common_tls_certificate"] += ".old"
    assert "it expired at" in scenario.refused(**files)
    assert host.file(f"{TLS}/cert.pem").sha256sum == before


@pytest.mark.one_release
def test_a_certificate_for_other_names(scenario, given):
    said = scenario.refused(**given(name="elsewhere.example.com"))
    assert "it is not for DNS:localhost" in said


@pytest.mark.one_release
def test_a_ca_key_that_others_can_read(scenario):
    key = scenario.secrets / "ca/ca.key"
    key.chmod(0o644)
    try:
        said = scenario.refused()
    finally:
        key.chmod(0o600)
    assert f"chmod 600 {key}" in said


@pytest.mark.one_release
@pytest.mark.parametrize("variable", ["common_service_user=root", "common_service_name=a/b", "common_tls_name=../x"])
def test_names_that_would_do_harm(scenario, variable):
    name, value = variable.split("=")
    said = scenario.refused(**{name: value})
    assert name in said


def test_the_proxy_is_written_for_root_only(host, scenario):
    result = scenario.converge(common_proxy={"http": "http://ada:hunter2@proxy.example.com:3128", "https": ""})
    assert result.returncode == 0, result.stdout[-4000:]
    assert "hunter2" not in result.stdout
    file = host.file("/etc/apt/apt.conf.d/80mlops-onprem-proxy")
    assert file.mode == 0o600
    assert 'Acquire::http::Proxy "http://ada:hunter2@proxy.example.com:3128";' in file.content_string
    host.check_output("rm /etc/apt/apt.conf.d/80mlops-onprem-proxy")


def test_absent_removes_the_service(host, scenario):
    scenario.changed(demo_state="absent")
    assert not host.file("/etc/systemd/system/demo.service").exists
    assert not host.socket("tcp://127.0.0.1:8443").is_listening
    assert host.user("demo").exists
    scenario.changed()
    assert ask(host) == "first"

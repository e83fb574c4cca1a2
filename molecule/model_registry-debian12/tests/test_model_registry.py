"""What people rely on, seen from outside: the real port, the real files, the effective unit, and what happens when things break.

The order matters: tests that stop or damage something come last, and put it right again.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import yaml

MIB = 1024 * 1024
NAME = "registry.example.test"
PORT = 8443
CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
ROLE = Path(__file__).resolve().parents[3] / "roles/model_registry"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
ROOT = "/var/lib/mlflow/artifacts"


class Registry:
    """A client: the address of the container, and the name in the handshake and in the request."""

    def __init__(self, address, ca, password):
        self.address, self.password = address, password
        self.context = ssl.create_default_context(cadata=ca)

    def connect(self, timeout=60):
        plain = socket.create_connection((self.address, PORT), timeout=timeout)
        connection = http.client.HTTPConnection(self.address, PORT, timeout=timeout)
        connection.sock = self.context.wrap_socket(plain, server_hostname=NAME)
        return connection

    def headers(self, user="admin", password=None, name=f"{NAME}:{PORT}", **more):
        headers = {"Host": name, **more}
        if user:
            login = f"{user}:{password or self.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(login).decode()
        return headers

    def ask(self, method, path, body=None, **about):
        connection = self.connect()
        headers = self.headers(**about)
        if isinstance(body, dict):
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def begin_upload(self, path, size):
        """An upload whose body is still to be sent."""
        connection = self.connect()
        connection.putrequest("PUT", f"{ARTIFACTS}/{path}", skip_host=True)
        for key, value in {**self.headers(), "Content-Length": str(size)}.items():
            connection.putheader(key, value)
        connection.endheaders()
        return connection

    def search(self, **about):
        return self.ask("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1}, **about)

    def wait(self, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.search()[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, "the registry did not come back"
            time.sleep(1)


def shell(host, command, code=0):
    result = host.run(command)
    assert code is None or result.rc == code, f"{command}: {result.rc}\n{result.stdout}\n{result.stderr}"
    return result.stdout.strip()


@pytest.fixture(scope="module")
def secrets(host):
    lines = shell(host, "cat /etc/mlflow/mlflow.env").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.fixture(scope="module")
def registry(host, secrets):
    address = shell(host, "hostname -I").split()[0]
    ca = shell(host, "cat /etc/mlops-onprem/tls/model_registry/ca.pem")
    return Registry(address, ca, secrets["MLFLOW_AUTH_ADMIN_PASSWORD"].strip('"'))


def play(host, *more):
    """The role again, from the controller, with other input."""
    command = ["ansible-playbook", "-i", host.backend.ansible_runner.inventory_file, CONVERGE, *more]
    environment = {
        **os.environ,
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "1",
    }
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=environment, check=False
    )
    # Long messages are wrapped; the tests look for phrases.
    return result.returncode, " ".join((result.stdout + result.stderr).replace("''", "'").split())


def invocation(host, unit="mlflow"):
    return shell(host, f"systemctl show --property=InvocationID --value {unit}")


def ask_as_the_role_does(host, registry, password=None, timeout=2):
    question = {
        "address": registry.address,
        "port": PORT,
        "name": NAME,
        "user": "admin",
        "password": password or registry.password,
        "ca": "/etc/mlops-onprem/tls/model_registry/ca.pem",
        "timeout": timeout,
    }
    text = base64.b64encode(json.dumps(question).encode()).decode()
    code = base64.b64encode((ROLE / "files/verify.py").read_bytes()).decode()
    return shell(
        host, f"echo {code} | base64 -d > /run/verify.py; echo {text} | base64 -d | python3 /run/verify.py", code=None
    )


def test_login_is_asked_for(registry):
    assert registry.search(user=None)[0] == 401
    assert registry.search(password="not the password")[0] == 401
    assert registry.search()[0] == 200


def test_only_its_own_names_are_served(registry):
    for name in (f"{NAME}:{PORT}", NAME, f"localhost:{PORT}", "127.0.0.1", f"{registry.address}:{PORT}"):
        assert registry.search(name=name)[0] == 200, name
    status, text = registry.search(name="evil.example.test")
    assert status == 403 and "Invalid Host header" in text


def test_only_its_own_pages_may_post(registry):
    assert registry.search(Origin=f"https://{NAME}:{PORT}")[0] == 200
    assert registry.search(Origin="https://evil.example.test")[0] == 403


def test_old_tls_is_refused(registry):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection((registry.address, PORT)) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain)


def test_only_the_proxy_listens_beyond_this_host(host, registry):
    listeners = {line.split()[3] for line in shell(host, "ss -Hltn").splitlines()}
    outside = {one for one in listeners if not one.startswith(("127.", "[::1]"))}
    assert outside == {f"{registry.address}:{PORT}"}
    assert "127.0.0.1:5000" in listeners


def test_files_are_as_closed_as_they_should_be(host):
    found = shell(
        host,
        "stat --format='%a %U:%G %n' /etc/mlflow/mlflow.env /etc/mlflow/basic_auth.ini /var/lib/mlflow/artifacts "
        "/var/lib/mlflow/tmp /etc/mlops-onprem/tls/model_registry/key.pem /etc/nginx/conf.d/mlops-onprem-model-registry.conf",
    ).splitlines()
    assert found == [
        "600 root:root /etc/mlflow/mlflow.env",
        "640 root:mlflow /etc/mlflow/basic_auth.ini",
        "750 mlflow:mlflow /var/lib/mlflow/artifacts",
        "750 mlflow:mlflow /var/lib/mlflow/tmp",
        "640 root:root /etc/mlops-onprem/tls/model_registry/key.pem",
        "644 root:root /etc/nginx/conf.d/mlops-onprem-model-registry.conf",
    ]


def test_secrets_are_seen_nowhere(host, secrets):
    names = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_CRYPTO_KEK_PASSPHRASE")
    values = [secrets[name].strip('"') for name in names]
    assert len(set(values)) == 3 and min(map(len, values)) >= 32
    seen = shell(
        host,
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl cat mlflow nginx; systemctl show mlflow; journalctl --no-pager; "
        "cat /var/log/nginx/*.log",
    )
    assert "mlflow server" in seen
    assert not [value for value in values if value in seen]


def test_the_unit_is_hardened(host):
    assert shell(host, "ps -o user= -p $(systemctl show -p MainPID --value mlflow)") == "mlflow"
    line = shell(host, "systemd-analyze security --no-pager mlflow.service | tail -1")
    assert float(line.split(":")[1].split()[0]) <= 3.0, line


def test_what_a_registry_does_not_need_is_off(host, secrets):
    processes = shell(host, "ps -eo args")
    assert "huey" not in processes and "_job_runner" not in processes
    assert secrets["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert secrets["MLFLOW_ENABLE_AI_GATEWAY"] == "false"
    assert processes.count("multiprocessing.spawn") == 2, "two workers"


def test_the_database_address_names_its_driver(secrets):
    assert secrets["MLFLOW_BACKEND_STORE_URI"].strip('"').startswith("postgresql+psycopg2://mlflow@/mlflow?")


def test_the_schema_is_the_one_that_the_package_brings(host):
    known = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__model_registry_schemas"]["3.17.2"]
    heads = shell(
        host,
        "cd / && for d in store/db_migrations server/auth/db/migrations; do /opt/mlflow/current/bin/python -c "
        "'import sys, alembic.script as s; print(*s.ScriptDirectory(sys.argv[1]).get_heads())' "
        "/opt/mlflow/current/lib/python3*/site-packages/mlflow/$d; done",
    )
    assert heads.split() == [known["tracking"], known["auth"]]


def test_requests_are_logged_with_the_user(host, registry):
    registry.ask("GET", "/api/2.0/mlflow/registered-models/get?name=audit-canary")
    line = json.loads(shell(host, "grep audit-canary /var/log/nginx/model_registry.log | tail -1"))
    assert (line["user"], line["method"], line["status"]) == ("admin", "GET", 404)
    assert {"time", "client", "uri", "seconds", "bytes_in", "bytes_out"} <= set(line)


def test_metrics_are_there_for_those_who_log_in(registry):
    assert registry.ask("GET", "/metrics", user=None)[0] == 401
    status, text = registry.ask("GET", "/metrics")
    assert status == 200 and "mlflow_http_request" in text


def test_a_user_sees_only_what_was_granted(registry):
    bob = {"user": "bob", "password": "a long enough one"}
    registry.ask("DELETE", "/api/2.0/mlflow/users/delete", {"username": "bob"})
    assert (
        registry.ask("POST", "/api/2.0/mlflow/users/create", {"username": "bob", "password": bob["password"]})[0] == 200
    )
    registry.ask("DELETE", "/api/2.0/mlflow/registered-models/delete", {"name": "private"})
    assert registry.ask("POST", "/api/2.0/mlflow/registered-models/create", {"name": "private"})[0] == 200
    path = "/api/2.0/mlflow/registered-models/get?name=private"
    assert registry.ask("GET", path)[0] == 200
    assert registry.ask("GET", path, **bob)[0] == 403
    assert registry.ask("DELETE", "/api/2.0/mlflow/registered-models/delete", {"name": "private"}, **bob)[0] == 403


def worker_memory(host):
    """The peak since the last reset, of all processes of the service, in MiB."""
    return [
        int(value) / 1024
        for value in shell(
            host,
            "for p in $(pgrep --uid mlflow); do awk '/VmHWM/{print $2}' /proc/$p/status; done",
        ).split()
    ]


def test_uploads_stream(host, registry):
    size, chunk = 256 * MIB, b"m" * MIB
    shell(
        host,
        "for p in $(pgrep --uid mlflow); do echo 5 > /proc/$p/clear_refs; done",
    )
    before = worker_memory(host)
    connection = registry.begin_upload("0/large/model.bin", size)
    for _unused in range(64):
        connection.send(chunk)
    time.sleep(1)
    partial = shell(host, f"find {ROOT}/0/large -name '.artifact.uploading.*' -size +16M")
    assert partial, "the server had nothing of the first 64 MiB: the proxy keeps uploads back"
    for _unused in range(192):
        connection.send(chunk)
    assert connection.getresponse().status == 200
    connection.close()
    assert shell(host, f"stat --format=%s {ROOT}/0/large/model.bin") == str(size)
    after = worker_memory(host)
    assert max(after) - max(before) < 50 and sum(after) - sum(before) < 100, (before, after)


def test_downloads_stream(host, registry):
    connection = registry.connect()
    connection.request("GET", f"{ARTIFACTS}/0/large/model.bin", headers=registry.headers())
    answer = connection.getresponse()
    assert answer.status == 200
    total = len(answer.read(MIB))
    time.sleep(1)
    # A proxy that buffers would by now have written what this slow reader does not take.
    kept = shell(
        host, "for p in $(pgrep -u www-data nginx); do ls -l /proc/$p/fd; done | grep -c '/var/lib/nginx/proxy' || true"
    )
    assert kept == "0"
    while block := answer.read(4 * MIB):
        total += len(block)
    assert total == 256 * MIB
    connection.close()


def test_a_full_disk_fails_the_upload_and_leaves_nothing_visible(host, registry):
    shell(host, f"mkdir -p {ROOT}/0/full && mount -t tmpfs -o size=8m,mode=777 tmpfs {ROOT}/0/full")
    try:
        connection = registry.begin_upload("0/full/model.bin", 32 * MIB)
        try:
            for _unused in range(32):
                connection.send(b"m" * MIB)
        except OSError:
            # The server may answer before it has read all.
            pass
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        assert answer.status >= 500, text
        assert text.strip(), "an error without a word"
        status, listing = registry.ask("GET", f"{ARTIFACTS}?path=0/full")
        assert status == 200 and not json.loads(listing).get("files"), listing
        assert "model.bin" not in shell(host, f"ls -A {ROOT}/0/full")
    finally:
        shell(host, f"umount {ROOT}/0/full && rmdir {ROOT}/0/full")
    assert registry.search()[0] == 200


def test_health_says_nothing_about_the_database_and_verify_does(host, registry):
    # The unit of the cluster, too: the other one only asks it to stop.
    shell(host, "systemctl stop postgresql 'postgresql@*'")
    try:
        assert registry.ask("GET", "/health", user=None)[0] == 200
        assert registry.search()[0] >= 500
        assert "ready" not in ask_as_the_role_does(host, registry)
    finally:
        shell(host, "systemctl start postgresql")
    # The server was not restarted: it survives a restart of its database.
    registry.wait(30)
    assert ask_as_the_role_does(host, registry) == "ready"


def test_another_password_on_the_server_is_named(host, registry):
    assert ask_as_the_role_does(host, registry, password="not what it was") == "login"


def test_kill_during_an_upload_leaves_no_artifact_and_the_service_returns(host, registry):
    connection = registry.begin_upload("0/killed/model.bin", 64 * MIB)
    for _unused in range(16):
        connection.send(b"m" * MIB)
    before = invocation(host)
    shell(host, "systemctl kill --signal=KILL mlflow")
    connection.close()
    registry.wait()
    assert invocation(host) != before
    status, text = registry.ask("GET", f"{ARTIFACTS}?path=0/killed")
    assert status == 200 and "model.bin" not in text, text
    assert "model.bin" not in shell(host, f"ls -A {ROOT}/0/killed", code=None)


@pytest.mark.one_release
def test_wrong_input_is_refused_all_at_once(host):
    code, text = play(host, "-e", '{"model_registry_workers": 9, "model_registry_listen_address": "0.0.0.0"}')
    assert code != 0
    assert "model_registry_workers is 9; use 1 or 2" in text
    assert "model_registry_listen_address is '0.0.0.0'" in text
    assert "Nothing was changed" in text


@pytest.mark.one_release
def test_a_secret_that_others_can_read_is_refused(host, tmp_path):
    secret = tmp_path / "model_registry_admin_password"
    secret.write_text("a long enough password\n")
    secret.chmod(0o644)
    code, text = play(host, "-e", f"model_registry_secrets_dir={tmp_path}")
    assert code != 0
    assert f"chmod 600 {secret}" in text
    assert "a long enough password" not in text


@pytest.mark.one_release
def test_a_given_database_is_asked_before_any_change(host):
    before = invocation(host)
    code, text = play(
        host, "-e", '{"model_registry_database": {"host": "127.0.0.1", "port": 1, "password": "canary-of-the-test"}}'
    )
    assert code != 0
    assert "the given database mlflow on 127.0.0.1:1 cannot be used" in text and "Nothing was changed" in text
    assert "canary-of-the-test" not in text
    assert invocation(host) == before


def test_an_unplanned_schema_is_refused_by_the_role_and_by_the_unit(host, registry):
    def revise(revision):
        query = f"UPDATE alembic_version SET version_num = '{revision}'"
        shell(host, f'cd / && echo "{query}" | runuser -u mlflow -- psql -q mlflow')

    known = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__model_registry_schemas"]["3.17.2"]["tracking"]
    before = invocation(host)
    revise("0584bdc529eb")
    try:
        code, text = play(host, "-e", "model_registry_login_cache_seconds=0")
        assert code != 0
        assert "has the schema revision 0584bdc529eb" in text and known in text and "pg_dump" in text
        assert invocation(host) == before, "the server was restarted"
        assert "auth_cache_ttl_seconds = 60" in shell(host, "cat /etc/mlflow/basic_auth.ini"), "a file was changed"
        # Somebody restores an old dump and restarts the server by hand.
        shell(host, "systemctl stop mlflow")
        shell(host, "timeout 30 systemctl start mlflow", code=1)
        shell(host, "systemctl stop mlflow")
        assert "Refusing to start" in shell(host, "journalctl -u mlflow --no-pager -n 50")
        found = shell(host, "cd / && runuser -u mlflow -- psql -qtAc 'SELECT version_num FROM alembic_version' mlflow")
        assert found == "0584bdc529eb", "the database was migrated"
    finally:
        revise(known)
        shell(host, "systemctl reset-failed mlflow; systemctl start mlflow")
    registry.wait()


def test_a_removal_keeps_the_data(host, registry):
    assert registry.ask("POST", "/api/2.0/mlflow/registered-models/create", {"name": "kept"})[0] in (200, 400)
    # The installed packages are moved aside, or the way back would be a download.
    shell(host, "mv /opt/mlflow /opt/aside")
    try:
        code, text = play(host, "-e", "model_registry_state=absent")
        assert code == 0, text[-2000:]
        left = shell(
            host,
            "ls -d /etc/mlflow /etc/nginx/conf.d/mlops* /etc/systemd/system/mlflow.service /etc/mlops-onprem/tls/*",
            code=None,
        )
        assert left == ""
        assert str(PORT) not in shell(host, "ss -Hltn")
        assert shell(host, f"stat --format=%s {ROOT}/0/large/model.bin") == str(256 * MIB)
    finally:
        shell(host, "rm -rf /opt/mlflow; mv /opt/aside /opt/mlflow")
        code, text = play(host)
    assert code == 0, text[-2000:]
    registry = Registry(
        registry.address, shell(host, "cat /etc/mlops-onprem/tls/model_registry/ca.pem"), registry.password
    )
    assert registry.ask("GET", "/api/2.0/mlflow/registered-models/get?name=kept")[0] == 200

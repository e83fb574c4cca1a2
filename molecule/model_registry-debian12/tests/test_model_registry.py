"""What people rely on, seen from outside: the real port, the real files, the effective unit, and what happens when things break.

The order matters: tests that stop or damage something come last, and put it right again.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import sys
import time
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/model_registry"))

import playing  # noqa: E402
from on_host import shell  # noqa: E402

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
    return playing.play(playing.inventory_of(host), CONVERGE, *more, ANSIBLE_PIPELINING="true", ANSIBLE_NOCOLOR="1")


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
        "cat /var/log/nginx/*.log /var/log/mlops-onprem-model-registry/*",
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
    known = yaml.safe_load((ROLE / "vars/main/versions.yml").read_text())["__model_registry_schemas"]["3.17.2"]
    heads = shell(
        host,
        "cd / && for d in store/db_migrations server/auth/db/migrations; do /opt/mlflow/current/bin/python -c "
        "'import sys, alembic.script as s; print(*s.ScriptDirectory(sys.argv[1]).get_heads())' "
        "/opt/mlflow/current/lib/python3*/site-packages/mlflow/$d; done",
    )
    assert heads.split() == [known["tracking"], known["auth"]]


AUDIT = "/var/log/mlops-onprem-model-registry"


def audited(host, word):
    return json.loads(shell(host, f"grep {word} {AUDIT}/audit.log | tail -1"))


def test_requests_are_logged_with_user_and_object_also_after_a_rotation(host, registry):
    registry.ask("GET", "/api/2.0/mlflow/registered-models/get?name=audit-canary")
    line = audited(host, "audit-canary")
    assert (line["user"], line["method"], line["status"], line["object"]) == ("admin", "GET", 404, "audit-canary")
    assert {"time", "client", "uri", "seconds", "bytes_in", "bytes_out"} <= set(line)
    # What only the body says; and nothing else of it, such as a password.
    about = {"password": 'canary-of-a-body", "name": "x', "username": "nobody-there"}
    registry.ask("PATCH", "/api/2.0/mlflow/users/update-password", about)
    shell(host, f"rm -f {AUDIT}/audit.log-*; logrotate --force /etc/logrotate.d/mlops-onprem-model-registry")
    registry.ask(
        "DELETE", "/api/2.0/mlflow/registered-models/delete-tag", {"name": "audit-two", "key": "canary-of-a-body"}
    )
    registry.ask("GET", f"{ARTIFACTS}/0/audit-three/x")
    assert audited(host, "audit-two")["action"] == "registered-models/delete-tag"
    assert audited(host, "audit-three")["object"] == "0/audit-three/x"
    assert shell(host, f"stat --format='%a %G' {AUDIT} {AUDIT}/audit.log").splitlines() == [
        "750 www-data",
        "640 www-data",
    ]
    rotated = shell(host, f"cat {AUDIT}/audit.log-*")
    assert json.loads(rotated.splitlines()[-1])["about"] == "nobody-there"
    assert "canary-of-a-body" not in rotated + shell(host, f"cat {AUDIT}/audit.log")
    assert not shell(host, "logrotate --debug /etc/logrotate.conf 2>&1 | grep -E '^error:|duplicate'", code=None)


def seconds_of_refusals(registry, count):
    """How long so many requests of one user take that the proxy answers itself."""
    connection, received = registry.connect(20), b""
    lines = "".join(f"{key}: {value}\r\n" for key, value in registry.headers().items())
    begin = time.monotonic()
    connection.sock.sendall(f"GET / HTTP/1.1\r\n{lines}\r\n".encode() * count)
    while received.count(b"HTTP/1.1 429") < count:
        block = connection.sock.recv(1 << 16)
        assert block, received[-300:]
        received += block
    connection.close()
    return time.monotonic() - begin


def test_guessing_passwords_ends_and_asking_too_much_waits(host, registry):
    answers = [registry.search(password=f"guess number {number}")[0] for number in range(14)]
    try:
        # Other tests guess wrong, too; and a request is counted when its answer is out, while the next one may be faster.
        assert answers[:5] == [401] * 5 and answers[-2:] == [429] * 2
        # This address is out, also with the right password; the host itself, where the role works, is not.
        assert registry.search()[0] == 429
        assert registry.ask("GET", "/health", user=None)[0] == 200
        assert ask_as_the_role_does(host, registry) == "ready"
        # 200 in a second, so 300 take a second and a half.
        assert seconds_of_refusals(registry, 300) > 1.2
    finally:
        # The count is in the proxy's memory. People would wait for a minute.
        shell(host, "systemctl restart nginx")
    assert registry.search()[0] == 200


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


def listed(registry):
    """Users by name, with their rights by what these are about."""
    users = json.loads(registry.ask("GET", "/api/2.0/mlflow/users/list")[1])["users"]
    return {
        user["username"]: {
            (right["resource_type"], right["resource_pattern"]): right["permission"]
            for role in user["roles"]
            for right in role["permissions"]
        }
        for user in users
    }


def secret_of(host, user):
    inventory = Path(host.backend.ansible_runner.inventory_file).resolve()
    path = (inventory if inventory.is_dir() else inventory.parent) / f".mlops/secrets/model_registry_user_{user}"
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().strip()


def test_listed_users_get_their_rights_and_keep_what_they_made(host, registry):
    """One play of the role: with a check first, and a user, an experiment and a model that came after the scenario's own run."""
    for path in ("experiments/create", "registered-models/create"):
        name = "fraud-training" if "experiments" in path else "fraud"
        assert registry.ask("POST", f"/api/2.0/mlflow/{path}", {"name": name})[0] in (200, 400)
    found = json.loads(registry.ask("GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=fraud-training")[1])
    number = found["experiment"]["experiment_id"]
    assert registry.ask("PUT", f"{ARTIFACTS}/{number}/models/m-1/artifacts/model.bin", "weights")[0] == 200
    alice = {"user": "alice", "password": secret_of(host, "alice")}
    carol = {"user": "carol", "password": "the first one of hers"}
    # As the scenario's own run left it, also when this test runs a second time.
    registry.ask("PATCH", "/api/2.0/mlflow/users/update-password", {"username": "carol", "password": carol["password"]})
    roles = json.loads(registry.ask("GET", "/api/3.0/mlflow/roles/list")[1])["roles"]
    for right in next(role for role in roles if role["name"] == "scoring")["permissions"]:
        if right["resource_type"] == "experiment":
            registry.ask("DELETE", "/api/3.0/mlflow/roles/permissions/remove", {"role_permission_id": right["id"]})
    # Carol makes a model of her own and chooses her own password; somebody is made by hand.
    assert registry.ask("POST", "/api/2.0/mlflow/registered-models/create", {"name": "carols"}, **carol)[0] in (
        200,
        400,
    )
    change = {"username": "carol", "current_password": carol["password"], "password": "carol's own choice"}
    assert (
        registry.ask("PATCH", "/api/2.0/mlflow/users/update-password", change, **{**carol, "user": "carol"})[0] == 200
    )
    carol["password"] = change["password"]
    by_hand = {"username": "by-hand", "password": "a long enough one"}
    # A broken role may have left the account of an earlier run.
    registry.ask("DELETE", "/api/2.0/mlflow/users/delete", {"username": by_hand["username"]})
    assert registry.ask("POST", "/api/2.0/mlflow/users/create", by_hand)[0] == 200
    model, artifact = (
        "/api/2.0/mlflow/registered-models/get?name=fraud",
        f"{ARTIFACTS}/{number}/models/m-1/artifacts/model.bin",
    )
    assert registry.ask("GET", model, **alice)[0] == 200
    # The experiment was not there when the scenario gave the rights: its name waits.
    assert registry.ask("GET", artifact, **alice)[0] == 403
    change = '{"model_registry_users_purge": true, "model_registry_users_rotate": ["alice"]}'
    before = listed(registry)

    code, text = play(host, "--check", "--diff", "-e", change)
    assert code == 0, text[-2000:]
    for step in (
        "set the password of user alice",
        "remove user by-hand",
        "add READ on experiment fraud-training to role scoring",
    ):
        assert step in text, step
    assert listed(registry) == before and registry.search(**alice)[0] == 200
    assert secret_of(host, "alice") == alice["password"]

    code, text = play(host, "--diff", "-vv", "-e", change)
    assert code == 0, text[-2000:]
    new = {**alice, "password": secret_of(host, "alice")}
    assert new["password"] != alice["password"]
    assert registry.search(**new)[0] == 200
    assert not [word for word in (alice["password"], new["password"], registry.password) if word in text]
    after = listed(registry)
    assert set(after) == {"admin", "alice", "carol"}
    assert after["alice"] == {("registered_model", "fraud"): "READ", ("experiment", number): "READ"}
    # Her model is still hers, and so is her password.
    assert after["carol"] == {("registered_model", "fraud"): "EDIT", ("registered_model", "carols"): "MANAGE"}
    assert registry.search(**carol)[0] == 200
    assert registry.ask("GET", artifact, **new) == (200, "weights")
    assert registry.ask("PUT", artifact, "others", **new)[0] == 403
    assert registry.ask("GET", artifact, **carol)[0] == 403
    assert registry.ask("POST", "/api/2.0/mlflow/users/create", by_hand, **new)[0] == 403


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


def call(registry, path, body):
    """A call of the API that has to be answered with yes."""
    status, text = registry.ask("POST", f"/api/2.0/mlflow/{path}", body)
    assert status == 200, text
    return json.loads(text)


def look_for_leftovers(host, code=0):
    shell(host, "systemctl start mlflow-housekeeping@leftovers", code=code)
    lines = shell(host, "journalctl -u mlflow-housekeeping@leftovers --no-pager --output=cat").splitlines()
    return json.loads([line for line in lines if line.startswith("{")][-1])


def test_leftovers_are_reported_and_removed_only_when_asked(host, registry):
    assert set(
        shell(
            host,
            "systemctl is-active logrotate.timer mlflow-housekeeping@disk.timer mlflow-housekeeping@leftovers.timer",
        ).split()
    ) == {"active"}
    experiment = call(registry, "experiments/create", {"name": f"leftovers-{time.time()}"})["experiment_id"]
    runs = [
        call(registry, "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"] for _unused in range(2)
    ]
    model = {"experiment_id": experiment, "name": "m", "source_run_id": runs[0]}
    model_id = call(registry, "logged-models", model)["model"]["info"]["model_id"]
    for path in (f"{runs[0]}/artifacts/x", f"{'0' * 31}1/artifacts/x", "notes/x"):
        assert registry.ask("PUT", f"{ARTIFACTS}/{experiment}/{path}", "x")[0] == 200
    # A registered version points to the second run, which somebody deleted all the same.
    registry.ask("POST", "/api/2.0/mlflow/registered-models/create", {"name": "leftovers"})
    source = {"name": "leftovers", "source": f"mlflow-artifacts:/{experiment}/{runs[1]}/artifacts", "run_id": runs[1]}
    version = call(registry, "model-versions/create", source)["model_version"]["version"]
    for run in runs:
        call(registry, "runs/delete", {"run_id": run})
    # Forty days pass.
    shell(
        host,
        f"""cd / && runuser -u mlflow -- psql -q mlflow -c "UPDATE runs SET deleted_time = 1000 WHERE run_uuid IN ('{runs[0]}', '{runs[1]}')" """
        f"""-c "UPDATE logged_models SET last_updated_timestamp_ms = 1000 WHERE model_id = '{model_id}'" """
        f"&& find {ROOT}/{experiment} -exec touch -d '40 days ago' {{}} +",
    )
    config = "/etc/mlflow/housekeeping.json"
    try:
        found = look_for_leftovers(host)
        assert set(runs) <= set(found["deleted"]["runs"]) and found["deleted"]["used"] == [runs[1]]
        assert model_id in found["deleted"]["orphan_models"]
        assert f"{ROOT}/{experiment}/{'0' * 31}1" in [path for path, _size in found["orphan_folders"]]
        folder = "/var/lib/prometheus/node-exporter"
        metrics = shell(host, f"cat {folder}/mlops_model_registry_leftovers.prom")
        assert (
            'mlops_model_registry_leftovers{kind="used"} 1' in metrics
            and "mlops_model_registry_housekeeping_failures 0" in metrics
        )
        assert "disk_alarm" in shell(
            host, f"systemctl start mlflow-housekeeping@disk; cat {folder}/mlops_model_registry_disk.prom"
        )

        shell(host, f"""sed -i 's/"gc": "report"/"gc": "delete"/; s/"orphans": false/"orphans": true/' {config}""")
        # Not while a version needs what gc would take.
        found = look_for_leftovers(host, code=1)
        assert runs[1] in found["failed"][0]
        assert registry.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={runs[0]}")[0] == 200
        assert shell(host, f"find {ROOT}/{experiment} -name x | sort").splitlines() == [
            f"{ROOT}/{experiment}/{runs[0]}/artifacts/x",
            f"{ROOT}/{experiment}/notes/x",
        ]
        # In the same run, the logged model that nobody points to was deleted, as a person would: gc takes it a month later.
        assert registry.ask("GET", f"/api/2.0/mlflow/logged-models/{model_id}")[0] == 404

        assert (
            registry.ask("DELETE", "/api/2.0/mlflow/model-versions/delete", {"name": "leftovers", "version": version})[
                0
            ]
            == 200
        )
        assert look_for_leftovers(host)["failed"] == []
        assert [registry.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={run}")[0] for run in runs] == [404, 404]
        assert shell(host, f"find {ROOT}/{experiment} -name x") == f"{ROOT}/{experiment}/notes/x"
    finally:
        shell(host, f"""sed -i 's/"gc": "delete"/"gc": "report"/; s/"orphans": true/"orphans": false/' {config}""")


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
    wrong = {
        "model_registry_workers": 9,
        "model_registry_listen_address": "0.0.0.0",
        "model_registry_users": [{"name": "ann", "roles": ["no-role"]}, {"name": "Ann", "password": "short-one"}],
    }
    code, text = play(host, "-e", json.dumps(wrong))
    assert code != 0
    assert (
        "the role 'no-role' is not in model_registry_roles" in text
        and "'ann' differs in upper and lower case only" in text
    )
    assert "fewer than 12 characters" in text and "short-one" not in text
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

    known = yaml.safe_load((ROLE / "vars/main/versions.yml").read_text())["__model_registry_schemas"]["3.17.2"][
        "tracking"
    ]
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
            "ls -d /etc/mlflow /etc/nginx/conf.d/mlops* /etc/logrotate.d/mlops* /etc/systemd/system/mlflow* /etc/mlops-onprem/tls/* "
            "/usr/local/lib/mlops-onprem/* /var/lib/prometheus/node-exporter/mlops*",
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

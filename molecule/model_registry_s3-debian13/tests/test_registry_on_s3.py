"""One registry on two servers, a bucket and a PostgreSQL that others run: what clients see, what is refused, and what a fault leaves behind.

In order; what a test breaks, it puts right again.
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
import testinfra

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
sys.path[:0] = [
    *(str(SCENARIO.parent / name) for name in ("object_store-debian12/tests", "shared/model_registry")),
    str(ROOT / "tests/lab"),
]

import playing  # noqa: E402
from client import s3, shell  # noqa: E402
from counting import executions  # noqa: E402

INVENTORY, CONVERGE = SCENARIO / "inventory.yml", SCENARIO / "converge.yml"
SECRETS = SCENARIO / ".mlops/secrets"
NAME, PORT = "registry.example.test", 8443
A, B, STORE = (f"model-registry-s3-{name}-debian13" for name in ("a", "b", "store"))
PREFIX = "prod/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
MIB = 1 << 20


@pytest.fixture(scope="module")
def hosts():
    return {name: testinfra.get_host(f"ansible://{name}", ansible_inventory=str(INVENTORY)) for name in (A, B, STORE)}


@pytest.fixture(scope="module")
def addresses(hosts):
    return {name: shell(host, "hostname -I").split()[0] for name, host in hosts.items()}


class Registry:
    """A client of one server: its address, and the registry's name in the handshake and in the request."""

    def __init__(self, address):
        self.address = address
        self.context = ssl.create_default_context(cadata=(SECRETS / "ca/ca.pem").read_text())
        self.password = (SECRETS / "model_registry_admin_password").read_text().strip()

    def connect(self, method, path, login=True, **headers):
        connection = http.client.HTTPConnection(self.address, PORT, timeout=60)
        plain = socket.create_connection((self.address, PORT), timeout=60)
        connection.sock = self.context.wrap_socket(plain, server_hostname=NAME)
        connection.putrequest(method, path, skip_host=True)
        if login:
            headers["Authorization"] = "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode()
        for key, value in {"Host": f"{NAME}:{PORT}", **headers}.items():
            connection.putheader(key, value)
        connection.endheaders()
        return connection

    def ask(self, method, path, body=b"", **more):
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = "application/json" if body[:1] == b"{" else "application/octet-stream"
        connection = self.connect(method, path, **{"Content-Length": str(len(body)), "Content-Type": kind}, **more)
        try:
            connection.send(body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def search(self):
        return self.ask("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1})[0]

    def ready(self):
        return self.ask("GET", "/ready", login=False)[0]

    def wait(self, status=200):
        deadline = time.monotonic() + 120
        while self.ready() != status:
            assert time.monotonic() < deadline, f"/ready is not {status}"
            time.sleep(1)


@pytest.fixture(scope="module")
def registries(addresses):
    return {name: Registry(addresses[name]) for name in (A, B)}


@pytest.fixture(scope="module")
def keys(hosts):
    config = json.loads(shell(hosts[STORE], "cat /etc/seaweedfs/s3.json"))
    return {one["name"]: one["credentials"][0]["secretKey"] for one in config["identities"]}


@pytest.fixture(scope="module")
def bucket(addresses, keys):
    """The keys of what is in the bucket."""
    wanted = {"url": f"https://{STORE}:8333", "address": addresses[STORE], "ca": (SECRETS / "ca/ca.pem").read_text()}
    client = s3.Client({**wanted, "access_key": "mlflow", "secret_key": keys["mlflow"]})

    def listing():
        root = s3.plain_tags(client.ask("GET", "models", **{"list-type": "2", "max-keys": "1000"})[1])
        return [key.text for key in root.iter("Key")]

    return listing


def play(*more, callback="default", **variables):
    """The role again, from the controller, with other input."""
    options = ("-e", json.dumps(variables), *more)
    result = playing.run(INVENTORY, CONVERGE, *options, ANSIBLE_STDOUT_CALLBACK=callback, **playing.PLAIN)
    text = result.stdout + result.stderr
    return result.returncode, text if "json" in callback else playing.in_one_line(text)


def invocations(hosts):
    return [shell(hosts[name], "systemctl show --property=InvocationID --value mlflow") for name in (A, B)]


def sql(hosts, query, database="mlflow"):
    return shell(
        hosts[STORE], f'cd / && echo "{query}" | runuser -u postgres -- psql -qtA --set ON_ERROR_STOP=1 {database}'
    )


# Runs on one of the servers, with the registry's own Python, as a user of the registry would.
CLIENT = """
import os, sys, logging, tempfile
os.environ.update(MLFLOW_TRACKING_URI="https://registry.example.test:8443", MLFLOW_TRACKING_USERNAME="admin", GIT_PYTHON_REFRESH="quiet",
                  MLFLOW_TRACKING_PASSWORD=sys.argv[1], MLFLOW_TRACKING_SERVER_CERT_PATH="/etc/ssl/company-ca.pem", HOME=tempfile.mkdtemp(),
                  MLFLOW_HTTP_REQUEST_MAX_RETRIES="2", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false", **KIT)
import mlflow, pandas
logging.getLogger("mlflow").setLevel(logging.ERROR)
client = mlflow.MlflowClient()
"""
MAKE = """
class Double(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2.0
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Double(), pip_requirements=[], registered_model_name="A_MODEL")
client.set_registered_model_alias("A_MODEL", "champion", 1)
"""
LOAD = """
print(mlflow.pyfunc.load_model("models:/A_MODEL@champion").predict(pandas.DataFrame({"x": [21.0]})).iloc[0])
"""
# What the client kit sets; and what somebody sets who reaches the bucket.
THROUGH = {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false"}
STRAIGHT = {"REQUESTS_CA_BUNDLE": "/etc/ssl/company-ca.pem"}


def client(hosts, address, code, name, kit=None):
    """By the DNS name, which leads to one of the servers."""
    text = f"KIT = {kit or THROUGH}\n{CLIENT}{code}".replace("A_MODEL", name)
    text = base64.b64encode(text.encode()).decode()
    password = (SECRETS / "model_registry_admin_password").read_text().strip()
    shell(
        hosts[A],
        f"sed '/{NAME}/d' /etc/hosts > /tmp/hosts; echo {address} {NAME} >> /tmp/hosts; cat /tmp/hosts > /etc/hosts",
    )
    said = shell(
        hosts[A],
        f"cd /tmp && echo {text} | base64 -d > client.py && timeout 300 /opt/mlflow/current/bin/python client.py {password}",
    )
    return said.splitlines()[-1:]


def test_two_servers_on_an_empty_database_made_one_schema(hosts, registries):
    assert [registry.search() for registry in registries.values()] == [200, 200]
    assert sql(hosts, "SELECT count(*) FROM alembic_version") == "1"
    assert sql(hosts, "SELECT count(*) FROM alembic_version_auth") == "1"
    assert sql(hosts, "SELECT count(*) FROM users WHERE username = 'admin'") == "1"
    assert sql(hosts, "SELECT count(*) FROM experiments") == "1"


def test_who_makes_tables_waits_for_another_who_does(hosts):
    """What the role runs, while somebody holds the lock."""
    code = base64.b64encode((ROOT / "roles/model_registry/files/with_lock.py").read_bytes()).decode()
    number = 0x6D6C6F7073
    shell(
        hosts[STORE],
        f"cd / && systemd-run --quiet --collect --unit=holder --uid=postgres psql -d mlflow -c 'SELECT pg_advisory_lock({number})' -c 'SELECT pg_sleep(600)'",
    )
    try:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {}granted"
        while sql(hosts, waiting.format("")) != "1":
            time.sleep(0.2)
        shell(hosts[B], f"rm -f /tmp/made; echo {code} | base64 -d > /tmp/with_lock.py")
        shell(
            hosts[B],
            "systemd-run --quiet --collect --unit=maker --uid=mlflow --property=EnvironmentFile=/etc/mlflow/mlflow.env --property=PrivateTmp=no "
            "/opt/mlflow/current/bin/python /tmp/with_lock.py touch /tmp/made",
        )
        deadline = time.monotonic() + 60
        while sql(hosts, waiting.format("NOT ")) != "1":
            assert not hosts[B].file("/tmp/made").exists and time.monotonic() < deadline, "it did not wait"
            time.sleep(0.2)
        assert not hosts[B].file("/tmp/made").exists
    finally:
        # Its client's end would not be noticed while it sleeps.
        sql(hosts, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    deadline = time.monotonic() + 60
    while not hosts[B].file("/tmp/made").exists:
        assert time.monotonic() < deadline, "it did not go on"
        time.sleep(0.2)


def test_a_model_goes_in_by_one_server_and_out_by_the_other(hosts, addresses, bucket):
    before = bucket()
    for number, (first, second) in enumerate(((A, B), (B, A))):
        client(hosts, addresses[first], MAKE, f"m{number}")
        assert client(hosts, addresses[second], LOAD, f"m{number}") == ["42.0"]
    files = [key for key in set(bucket()) - set(before) if key.endswith("/MLmodel")]
    assert len(files) == 2 and all(key.startswith(f"{PREFIX}/0/models/m-") for key in files)
    for name in (A, B):
        assert not hosts[name].file("/var/lib/mlflow/artifacts").exists
        assert shell(hosts[name], "find /var/lib/mlflow/tmp -name 'MLmodel'") == ""


def test_who_reaches_the_bucket_gets_files_straight_from_it(hosts, addresses):
    """The server hands out addresses with a signature, of its endpoint's name: the CA is all that a client needs then."""
    assert client(hosts, addresses[A], LOAD, "m0", STRAIGHT) == ["42.0"]


def test_of_two_servers_one_is_enough(hosts, addresses, registries):
    shell(hosts[A], "systemctl mask --runtime --quiet mlflow; systemctl kill --signal=KILL mlflow")
    try:
        registries[A].wait(503)
        assert registries[B].ready() == 200 and registries[B].search() == 200
        assert client(hosts, addresses[B], LOAD, "m0") == ["42.0"]
    finally:
        shell(hosts[A], "systemctl unmask --runtime --quiet mlflow; systemctl start mlflow")
    registries[A].wait()


def test_readiness_follows_the_database_and_needs_no_restart(hosts, registries):
    before = invocations(hosts)
    shell(hosts[STORE], "systemctl stop postgresql 'postgresql@*'")
    try:
        for registry in registries.values():
            registry.wait(503)
            # What MLflow says of itself.
            assert registry.ask("GET", "/health", login=False)[0] == 200
            assert registry.search() >= 500
    finally:
        shell(hosts[STORE], "systemctl start postgresql")
    for registry in registries.values():
        registry.wait()
        assert registry.search() == 200
    assert invocations(hosts) == before


def test_readiness_is_open_tells_nothing_and_is_no_login(hosts, registries):
    assert registries[A].ask("GET", "/ready", login=False) == (200, "ready\n")
    assert "/ready" not in shell(hosts[A], "cat /var/log/mlops-onprem-model-registry/audit.log")
    for _unused in range(30):
        assert registries[A].ready() == 200
    assert registries[A].search() == 200, "asking for readiness counts as guessing passwords"


def test_only_the_first_server_looks_after_what_both_share(hosts):
    timers = "mlops-onprem-mlflow-backup.timer mlops-onprem-mlflow-drill.timer"
    assert shell(hosts[A], f"systemctl is-active {timers}").split() == ["active", "active"]
    assert shell(hosts[B], "ls /etc/systemd/system/mlops-onprem-mlflow-* /etc/mlflow/backup.json", code=None) == ""
    for name, shared in ((A, True), (B, False)):
        assert json.loads(shell(hosts[name], "cat /etc/mlflow/housekeeping.json"))["shared"] is shared
        shell(hosts[name], "systemctl start mlflow-housekeeping@leftovers mlflow-housekeeping@disk")


def test_a_backup_is_of_the_database_and_a_drill_opens_a_model_of_the_bucket(hosts):
    shell(hosts[A], "systemctl start mlops-onprem-mlflow-backup && systemctl start mlops-onprem-mlflow-drill")
    folder = "/var/backups/mlflow"
    assert f"the artifacts are in s3://models/{PREFIX}" in shell(hosts[A], f"cat {folder}/backup-state.json")
    assert "@champion opens (from s3://models" in shell(hosts[A], f"cat {folder}/drill-state.json")


def test_connections_stay_within_what_is_counted(hosts, registries):
    for registry in registries.values():
        for _unused in range(20):
            assert registry.search() == 200
    count = sql(hosts, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'mlflow'")
    assert 0 < int(count) <= 2 * (2 * 3 * 7 + 5)


def test_secrets_are_seen_nowhere(hosts, keys):
    values = ["of a test, with", keys["mlflow"], (SECRETS / "model_registry_kek_passphrase").read_text().strip()]
    for name in (A, B):
        assert shell(hosts[name], "stat --format='%a %U' /etc/mlflow/mlflow.env") == "600 root"
        seen = shell(
            hosts[name],
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl cat mlflow nginx 'mlflow-housekeeping@*'; systemctl show mlflow; "
            "journalctl --no-pager; cat /var/log/nginx/*.log /var/log/mlops-onprem-model-registry/*; cat /etc/nginx/conf.d/*",
        )
        assert "mlflow server" in seen
        assert not [value for value in values if value in seen]


def test_a_kill_in_mid_upload_leaves_no_object(hosts, registries, bucket):
    before = bucket()
    connection = registries[B].connect("PUT", f"{ARTIFACTS}/0/killed/model.bin", **{"Content-Length": str(64 * MIB)})
    for _unused in range(32):
        connection.send(b"m" * MIB)
    time.sleep(1)
    shell(hosts[B], "systemctl kill --signal=KILL mlflow")
    connection.close()
    registries[B].wait()
    assert bucket() == before
    # Whole, it is there.
    assert registries[B].ask("PUT", f"{ARTIFACTS}/0/killed/model.bin", b"m" * MIB)[0] == 200
    assert set(bucket()) - set(before) == {f"{PREFIX}/0/killed/model.bin"}
    assert registries[A].ask("GET", f"{ARTIFACTS}/0/killed/model.bin")[1] == "m" * MIB


def given(**more):
    store = {"endpoint": f"https://{STORE}:8333", "bucket": "models", "prefix": PREFIX, "access_key": "mlflow"}
    return {**store, "ca": str(SECRETS / "ca/ca.pem"), **more}


@pytest.mark.parametrize(
    ("what", "change", "phrases"),
    [
        ("an untrusted CA", {"ca": ""}, ["its certificate is not accepted", "into model_registry_artifacts_s3.ca"]),
        ("a wrong key", {"secret_key": "canary of a wrong key"}, ["SignatureDoesNotMatch", "artifacts_s3.secret_key"]),
        (
            "a wrong user",
            {"access_key": "nobody"},
            ["InvalidAccessKeyId", "Check model_registry_artifacts_s3.access_key"],
        ),
        ("no bucket", {"bucket": "nowhere", "user": "mlops-onprem"}, ["NoSuchBucket", "Make the bucket"]),
        ("no versions", {"bucket": "scratch"}, ["the bucket scratch keeps no old versions", "Switch versioning on"]),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused_before_anything_changes(hosts, keys, what, change, phrases):
    before = invocations(hosts), shell(hosts[A], "cat /etc/mlflow/mlflow.env")
    user = change.get("user", "mlflow")
    store = given(**{"secret_key": keys[user], "access_key": "admin" if user != "mlflow" else user})
    store.update({key: value for key, value in change.items() if key != "user"})
    code, text = play("--limit", A, model_registry_artifacts_s3=store, model_registry_artifacts_moved=True)
    assert code == 2, text[-3000:]
    for phrase in (f"{A}: nothing was changed", f"the bucket {store['bucket']} on {store['endpoint']}", *phrases):
        assert phrase in text, (phrase, text[-1500:])
    assert store["secret_key"] not in text
    assert (invocations(hosts), shell(hosts[A], "cat /etc/mlflow/mlflow.env")) == before


def test_a_bucket_without_versions_is_warned_of_where_it_is_wanted(hosts, keys):
    store = given(bucket="scratch", secret_key=keys["mlflow"], versioning=False)
    code, text = play("--limit", A, "--check", model_registry_artifacts_s3=store, model_registry_artifacts_moved=True)
    assert code == 0, text[-3000:]
    assert "[WARNING]" in text and "the bucket scratch keeps no old versions" in text


def test_other_artifacts_are_refused_while_these_are_not_copied(hosts, keys):
    code, text = play("--limit", A, model_registry_artifacts_s3=given(prefix="other", secret_key=keys["mlflow"]))
    assert code == 2
    assert f"the artifacts are in s3://models/{PREFIX}, and would be looked for in s3://models/other" in text


def test_a_pool_that_the_database_does_not_allow_is_refused(hosts):
    before = invocations(hosts)
    code, text = play("--limit", A, model_registry_database_pool_size=20)
    assert code == 2
    for phrase in (
        "allows 97 connections to 'mlflow'",
        "may open 274: 2 server(s) x (2 worker(s) x 3 stores x (20 + 2) + 5",
    ):
        assert phrase in text, text[-1500:]
    assert invocations(hosts) == before


def test_folders_that_the_other_server_does_not_see_are_refused(hosts):
    code, text = play("--limit", B, model_registry_artifacts_s3={}, model_registry_artifacts_moved=True)
    assert code == 2
    assert f"is on a file system of this host alone (overlay), and the other servers ({A}) would not see" in text


def test_a_run_that_changes_nothing_costs_little_and_restarts_nothing(hosts):
    before = invocations(hosts)
    code, text = play(callback="ansible.posix.json")
    assert code == 0, text[-3000:]
    # The first server has the users, and the look at the site CA on the controller. The bucket costs none.
    assert executions(text) == {A: 11, B: 9}
    assert invocations(hosts) == before


def test_a_changed_setting_restarts_one_server_after_the_other(hosts, registries):
    """At each moment, one of them is ready."""
    before = invocations(hosts)
    change = ("-e", "model_registry_login_cache_seconds=30")
    run = playing.start(INVENTORY, CONVERGE, *change, ANSIBLE_FORCE_COLOR="false")
    none, asked = 0, 0
    while run.poll() is None:
        asked += 1
        none += 200 not in [registry.ready() for registry in registries.values()]
        time.sleep(0.3)
    assert run.returncode == 0, run.stdout.read()[-3000:]
    assert not set(before) & set(invocations(hosts))
    assert asked > 10 and none == 0
    code, text = play()
    assert code == 0, text[-3000:]


def test_without_our_proxy_only_its_own_host_reaches_the_server(hosts, registries):
    code, text = play("--limit", A, model_registry_proxy="none")
    try:
        assert code == 0, text[-3000:]
        listeners = {line.split()[3] for line in shell(hosts[A], "ss -Hltn").splitlines()}
        assert {
            one for one in listeners if not one.startswith(("127.", "[::1]"))
        } == set() and "127.0.0.1:5000" in listeners
        left = shell(
            hosts[A],
            "ls /etc/nginx/conf.d/mlops* /etc/logrotate.d/mlops* /etc/systemd/system/nginx.service.d/*",
            code=None,
        )
        assert left == ""
        # As somebody's own proxy on this host would ask.
        ask = (
            "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 5000, timeout=30); "
            "c.request('GET', '/api/2.0/mlflow/users/current', headers={'Host': sys.argv[1]}); print(c.getresponse().status)"
        )
        found = [
            shell(hosts[A], f'python3 -c "{ask}" {name}') for name in (NAME, f"{NAME}:{PORT}", "evil.example.test")
        ]
        assert found == ["401", "401", "403"]
    finally:
        code, text = play("--limit", A)
    assert code == 0, text[-3000:]
    registries[A].wait()


def test_both_begin_again_on_an_empty_database(hosts, registries):
    """At the same time, as a new registry would."""
    for name in (A, B):
        shell(hosts[name], "systemctl stop mlflow")
    sql(hosts, "DROP DATABASE mlflow WITH (FORCE)", "postgres")
    sql(hosts, "CREATE DATABASE mlflow OWNER mlflow TEMPLATE template0 ENCODING 'UTF8'", "postgres")
    code, text = play()
    assert code == 0, text[-3000:]
    made = text.split("Create the tables")[-1].split("TASK")[0]
    assert f"changed: [{A}]" in made and f"changed: [{B}]" in made
    test_two_servers_on_an_empty_database_made_one_schema(hosts, registries)

"""People log in with the password that they have in the company's directory: who comes in, who does not, and by whose word.

The directory is slapd of the distribution, in the same container (see directory.sh). As the protocol has it, it says yes to a name
with an empty password. The order matters: tests that change or stop the directory come last, and put it right again.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/model_registry"))

import playing  # noqa: E402
from on_host import shell  # noqa: E402

NAME, PORT = "registry.example.test", 8443
CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
BASE = "dc=example,dc=test"
API = "/api/2.0/mlflow"
# What the registry remembers, and a bit.
FORGOTTEN = 3


class Registry:
    def __init__(self, address, ca):
        self.address = address
        self.context = ssl.create_default_context(cadata=ca)

    def ask(self, method, path, body=None, user="", password=""):
        plain = socket.create_connection((self.address, PORT), timeout=60)
        connection = http.client.HTTPConnection(self.address, PORT, timeout=60)
        connection.sock = self.context.wrap_socket(plain, server_hostname=NAME)
        headers = {"Host": f"{NAME}:{PORT}"}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def search(self, user, password=None):
        password = f"{user} has a password" if password is None else password
        return self.ask("POST", f"{API}/experiments/search", {"max_results": 1}, user, password)[0]


@pytest.fixture(scope="module")
def registry(host):
    address = shell(host, "hostname -I").split()[0]
    return Registry(address, shell(host, "cat /etc/mlops-onprem/tls/model_registry/ca.pem"))


@pytest.fixture(scope="module")
def admin(host):
    line = shell(host, "grep ^MLFLOW_AUTH_ADMIN_PASSWORD= /etc/mlflow/mlflow.env")
    return {"user": "admin", "password": line.split("=", 1)[1].strip('"')}


@pytest.fixture(autouse=True)
def unlimited(host):
    """Who guesses wrong ten times in a minute is out, and these tests guess a lot: the count is in the proxy's memory."""
    yield
    shell(host, "systemctl reset-failed nginx; systemctl restart nginx")


def accounts(registry, admin):
    """(name, administrator) of each account of the registry."""
    found = json.loads(registry.ask("GET", "/api/2.0/mlflow/users/list", **admin)[1])
    return {user["username"]: user["is_admin"] for user in found["users"]}


def change(host, *lines):
    text = "\n".join(lines)
    shell(host, f"ldapmodify -x -H ldapi:/// -D cn=admin,{BASE} -w 'the owner of the directory' <<'END'\n{text}\nEND")
    time.sleep(FORGOTTEN)


def play(host, *more):
    return playing.play(playing.inventory_of(host), CONVERGE, *more, ANSIBLE_NOCOLOR="1")


def test_the_directory_says_yes_to_an_empty_password(host):
    """What the next test means: this is how such logins are broken into."""
    asked = f"ldapwhoami -x -H ldapi:/// -D uid=alice,ou=people,{BASE} -w ''"
    assert shell(host, asked) == "anonymous"


def test_only_the_right_password_comes_in(registry):
    assert registry.search("bob") == 200
    for password in ("", "wrong", " ", "alice has a password"):
        assert registry.search("bob", password) == 401, password
    # The same right after a good login, which is remembered for a moment.
    assert registry.search("bob") == 200
    for password in ("", "bob has a password and more", "bob has a password "):
        assert registry.search("bob", password) == 401, password


def test_names_are_names_and_not_patterns(registry):
    for name in ("*", "bo*", "bob)(uid=*", "nobody", f"uid=bob,ou=people,{BASE}", ""):
        assert registry.search(name, "bob has a password") == 401, name


def test_groups_decide_who_comes_in_and_who_is_an_administrator(registry, admin):
    # What a broken role may have let in stays an account.
    registry.ask("DELETE", f"{API}/users/delete", {"username": "mallory"}, **admin)
    assert registry.search("alice") == 200
    assert registry.search("bob") == 200
    assert registry.search("mallory") == 401
    found = accounts(registry, admin)
    assert found["alice"] is True and found["bob"] is False
    assert "mallory" not in found


def test_one_person_is_one_account(registry, admin):
    assert registry.search("ALICE", "alice has a password") == 200
    assert registry.search(" Alice ", "alice has a password") == 200
    assert [name for name in accounts(registry, admin) if name.casefold().strip() == "alice"] == ["alice"]


def test_nobody_in_the_directory_becomes_an_account_of_the_registry_itself(registry, admin):
    assert registry.ask("GET", f"{API}/experiments/get?experiment_id=0", **admin)[0] == 200
    for name in ("admin", "Admin", " admin"):
        assert registry.search(name, "admin has a password") == 401, name


def test_a_pipeline_has_an_account_of_the_registry_itself(host, registry):
    folder = Path(host.backend.ansible_runner.inventory_file).parent / ".mlops/secrets"
    assert registry.search("pipeline", (folder / "model_registry_user_pipeline").read_text().strip()) == 200
    assert registry.search("pipeline", "wrong") == 401


def test_nobody_sees_what_belongs_to_others(registry):
    alice, bob = ({"user": name, "password": f"{name} has a password"} for name in ("alice", "bob"))
    made = registry.ask("POST", f"{API}/experiments/create", {"name": f"of alice {os.urandom(4).hex()}"}, **alice)
    number = json.loads(made[1])["experiment_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{number}/x"
    assert registry.ask("PUT", path, "hers", **alice)[0] == 200
    assert registry.ask("GET", path, **alice) == (200, "hers")
    assert registry.ask("GET", path, **bob)[0] == 403
    assert registry.ask("PUT", path, "his", **bob)[0] == 403
    assert registry.ask("GET", path, user="alice", password="")[0] == 401
    assert registry.ask("GET", f"{API}/experiments/get?experiment_id={number}", **bob)[0] == 403
    own = registry.ask("POST", f"{API}/experiments/create", {"name": f"of bob {os.urandom(4).hex()}"}, **bob)
    number = json.loads(own[1])["experiment_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{number}/x"
    assert registry.ask("PUT", path, "his", **bob)[0] == 200 and registry.ask("GET", path, **bob) == (200, "his")


def test_secrets_are_seen_nowhere(host):
    secret = "what the registry searches with"
    assert shell(host, "stat --format='%a %U' /etc/mlflow/mlflow.env") == "600 root"
    assert secret in shell(host, "cat /etc/mlflow/mlflow.env")
    seen = shell(
        host,
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl cat mlflow nginx; systemctl show mlflow; journalctl --no-pager -u mlflow -u nginx; "
        "cat /var/log/nginx/*.log /var/log/mlops-onprem-model-registry/* /etc/mlflow/ldap.json /etc/mlflow/*.ini",
    )
    assert "mlflow server" in seen
    for value in (secret, "alice has a password", "bob has a password"):
        assert value not in seen


# With the service's own module and configuration, and other addresses and CAs: an answer a line.
CONNECT = """
import json, sys
import mlops_onprem_ldap as login
with open("/etc/mlflow/ldap.json") as file:
    config = json.load(file)
for changes in json.loads(sys.argv[1]):
    try:
        print(login.Directory({**config, **changes}, "what the registry searches with").login("bob", "bob has a password"))
    except Exception as error:
        print(type(error).__name__, " ".join(str(error).split()))
"""
TRUSTED = {"ca": "/etc/ssl/certs/ca-certificates.crt"}
SERVERS = [
    ({"urls": ["ldaps://directory.example.test"]}, "('bob', {'registry-users'})"),
    ({"urls": ["ldap://directory.example.test"]}, "('bob', {'registry-users'})"),
    ({"urls": ["ldaps://other.example.test"]}, "doesn't match any name"),
    ({"urls": ["ldap://other.example.test"]}, "doesn't match any name"),
    ({"urls": ["ldaps://directory.example.test"], **TRUSTED}, "certificate verify failed"),
    ({"urls": ["ldap://directory.example.test"], **TRUSTED}, "certificate verify failed"),
]


def test_passwords_go_to_the_right_server_only(host):
    code = base64.b64encode(CONNECT.encode()).decode()
    servers = json.dumps([changes for changes, _expected in SERVERS])
    found = shell(
        host,
        f"echo {code} | base64 -d > /run/connect.py; cd /; PYTHONPATH=/usr/local/lib/mlops-onprem/mlflow-login "
        f"MLFLOW_AUTH_CONFIG_PATH=/etc/mlflow/basic_auth.ini /opt/mlflow/current/bin/python /run/connect.py '{servers}' 2>/dev/null",
    ).splitlines()
    assert len(found) == len(SERVERS), found
    for (changes, expected), line in zip(SERVERS, found):
        assert expected in line, (changes, line)


def test_wrong_input_is_refused_all_at_once(host):
    wrong = {
        "model_registry_version": "3.16.1",
        "model_registry_ldap": {
            "urls": ["http://directory.example.test"],
            "user_base": "x",
            "user_filter": "(uid=bob)",
            "ca": "/nowhere.pem",
            "bind_dn": "cn=x",
        },
    }
    code, text = play(host, "-e", json.dumps(wrong))
    assert code != 0 and "Nothing was changed" in text
    for phrase in (
        "ldap needs MLflow 3.17.2, and model_registry_version is 3.16.1",
        "model_registry_ldap is given without group_base",
        "['http://directory.example.test']; give names of servers",
        "needs groups or admin_groups",
        "user_filter must contain {user}",
        "/nowhere.pem, is not a file",
    ):
        assert phrase in text, phrase
    # And the login that this release's Python is too old for.
    code, text = play(host, "-e", "model_registry_login=oidc")
    assert code != 0 and "needs Python 3.12 or newer" in text and "Nothing was changed" in text


def test_the_directory_decides_each_time(host, registry, admin):
    alice = f"uid=alice,ou=people,{BASE}"
    group = f"dn: cn=registry-users,ou=groups,{BASE}"
    admins = f"dn: cn=registry-admins,ou=groups,{BASE}"
    bob = f"uid=bob,ou=people,{BASE}"
    others = f"member: uid=admin,ou=people,{BASE}"
    assert registry.search("alice") == registry.search("bob") == 200
    try:
        change(host, admins, "changetype: modify", "replace: member", f"member: {bob}", others)
        assert registry.search("alice") == 401 and registry.search("bob") == 200
        found = accounts(registry, admin)
        assert found["bob"] is True
        change(host, admins, "changetype: modify", "replace: member", f"member: {alice}", others)
        # A group has one member at least.
        change(host, group, "changetype: modify", "replace: member", f"member: cn=registry,{BASE}")
        assert registry.search("bob") == 401 and registry.search("alice") == 200
    finally:
        change(host, group, "changetype: modify", "replace: member", f"member: {bob}")
    assert registry.search("bob") == 200
    assert accounts(registry, admin)["bob"] is False


def test_without_the_directory_the_registrys_own_accounts_go_on(host, registry, admin):
    started = shell(host, "systemctl show --property=InvocationID --value mlflow")
    time.sleep(FORGOTTEN)
    shell(host, "systemctl stop slapd")
    try:
        # Not 401: nothing is wrong with the password, and MLflow's client tries again.
        assert registry.search("bob") == 503
        assert registry.ask("GET", f"{API}/experiments/get?experiment_id=0", **admin)[0] == 200
    finally:
        shell(host, "systemctl start slapd")
    assert registry.search("bob") == 200
    # One that takes the connection and says nothing does not hold the registry for long.
    time.sleep(FORGOTTEN)
    shell(host, "systemctl kill --signal=STOP slapd")
    begin = time.monotonic()
    try:
        assert registry.search("bob") == 503
        assert time.monotonic() - begin < 30
    finally:
        shell(host, "systemctl kill --signal=CONT slapd")
    assert registry.search("bob") == 200
    assert shell(host, "systemctl show --property=InvocationID --value mlflow") == started

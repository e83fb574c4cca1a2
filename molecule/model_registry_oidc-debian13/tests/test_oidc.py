"""People log in at their company's provider: who they are, what they may do, and that nothing else lets anybody in.

The provider is a real one (Canaille, see identity.py) in the same container; the browser here is a session of `requests` that fills in
its forms. The order matters: tests that stop something come last, and put it right again.
"""

from __future__ import annotations

import html
import json
import os
import re
import socket
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
import requests
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/model_registry"))

import playing  # noqa: E402
from on_host import shell  # noqa: E402

REGISTRY = "https://registry.example.test:8443"
PROVIDER = "https://identity.example.test:9443"
CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
ROLE = Path(__file__).resolve().parents[3] / "roles/model_registry"
SECRET = "the secret of the registry at the provider"
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module", autouse=True)
def names(host):
    """Both names are the container's address."""
    address = shell(host, "hostname -I").split()[0]
    real = socket.getaddrinfo

    def found(name, *others, **more):
        return real(address if str(name).endswith(".example.test") else name, *others, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", found)
        yield


@pytest.fixture(scope="module")
def authorities(host, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_text(shell(host, "cat /etc/mlops-onprem/tls/model_registry/ca.pem; echo; cat /srv/tls/ca.pem"))
    return str(path)


@pytest.fixture(scope="module")
def admin_password(host):
    return re.search(r'MLFLOW_AUTH_ADMIN_PASSWORD="(.+)"', shell(host, "cat /etc/mlflow/mlflow.env"))[1]


@pytest.fixture
def browser(authorities):
    def opened():
        session = requests.Session()
        session.verify = authorities
        session.trust_env = False
        return session

    return opened


def log_in(session, name):
    """As a person does it: the registry sends to the provider, its two forms, and back. The last answer."""
    answer = session.get(f"{REGISTRY}/", headers={"Accept": "text/html"})
    for _form in range(6):
        if not answer.url.startswith(PROVIDER):
            return answer
        hidden = {}
        for tag in re.findall(r"<input[^>]*>", answer.text):
            field = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
            if field.get("type") == "hidden":
                hidden[field["name"]] = html.unescape(field.get("value", ""))
        asked = re.findall(r'<(?:input|button)[^>]*name="([^"]+)"', answer.text)
        given = (
            {"login": name}
            if "login" in asked
            else {"password": f"{name} has a password"}
            if "password" in asked
            else {"answer": "accept"}
        )
        answer = session.post(answer.url, data={**hidden, **given}, headers={"Referer": answer.url})
    raise AssertionError(f"the provider did not send {name} back: {answer.url}")


def token_of(session, name, client="registry", secret=SECRET):
    """A token that the provider makes for one of its applications."""
    answer = session.post(
        f"{PROVIDER}/oauth/token",
        auth=(client, secret),
        data={
            "grant_type": "password",
            "username": name,
            "password": f"{name} has a password",
            "scope": "openid email profile groups",
        },
    )
    assert answer.status_code == 200, answer.text
    return {"Authorization": "Bearer " + answer.json()["access_token"]}


def current(session, **about):
    return session.get(f"{REGISTRY}{API}/users/current", **about)


def search(session, **about):
    return session.post(f"{REGISTRY}{API}/experiments/search", json={"max_results": 1}, **about)


def users(session, password):
    return session.get(f"{REGISTRY}{API}/users", auth=("admin", password)).json()


def play(host, *more):
    return playing.play(playing.inventory_of(host), CONVERGE, *more, ANSIBLE_NOCOLOR="1")


def test_without_a_login_there_is_no_answer(browser):
    session = browser()
    assert search(session).status_code == 401
    assert session.get(f"{REGISTRY}{API}/experiments/get?experiment_id=0").status_code == 401
    assert session.get(f"{REGISTRY}/api/2.0/mlflow-artifacts/artifacts?path=").status_code == 401
    assert session.post(f"{REGISTRY}/graphql", json={"query": "{__typename}"}).status_code == 401
    assert session.get(f"{REGISTRY}/metrics").status_code in (401, 404)


def test_people_are_sent_to_the_provider_and_the_answer_is_bound_to_the_question(browser):
    session = browser()
    first = session.get(f"{REGISTRY}/", headers={"Accept": "text/html"}, allow_redirects=False)
    assert first.status_code == 302 and first.headers["Location"].startswith("/login")
    answer = session.get(f"{REGISTRY}/login", allow_redirects=False)
    target = urlparse(answer.headers["Location"])
    question = {key: values[0] for key, values in parse_qs(target.query).items()}
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{PROVIDER}/oauth/authorize"
    assert question["redirect_uri"] == f"{REGISTRY}/callback" and question["client_id"] == "registry"
    assert question["code_challenge_method"] == "S256" and question["state"] and question["nonce"]
    cookie = answer.headers["Set-Cookie"].lower()
    assert "secure" in cookie and "httponly" in cookie and "samesite=lax" in cookie
    # An answer that nobody asked for.
    forged = browser().get(f"{REGISTRY}/callback?code=x&state={question['state']}", allow_redirects=False)
    assert "session_id" not in forged.headers.get("Set-Cookie", "") and "error" in forged.headers.get("Location", "")


def test_groups_decide_who_comes_in_and_who_is_an_administrator(browser, admin_password):
    alice, bob, mallory = browser(), browser(), browser()
    # What a broken role may have let in stays an account.
    mallory.delete(f"{REGISTRY}{API}/users", json={"username": "mallory@example.test"}, auth=("admin", admin_password))
    mallory.cookies.clear()
    assert log_in(alice, "alice").url == f"{REGISTRY}/"
    assert log_in(bob, "bob").url == f"{REGISTRY}/"
    found = current(alice).json()
    assert found["username"] == "alice@example.test" and found["is_admin"] is True
    found = current(bob).json()
    assert found["username"] == "bob@example.test" and found["is_admin"] is False
    assert [group["group_name"] for group in found["groups"]] == ["registry-users"]
    refused = log_in(mallory, "mallory")
    assert "not+allowed+to+login" in refused.url
    assert current(mallory).status_code == 401
    assert "mallory@example.test" not in users(browser(), admin_password)


def test_nobody_sees_what_belongs_to_others(browser):
    alice, bob = browser(), browser()
    log_in(alice, "alice")
    log_in(bob, "bob")
    name = f"of alice {os.urandom(4).hex()}"
    made = alice.post(f"{REGISTRY}{API}/experiments/create", json={"name": name}).json()["experiment_id"]
    path = f"{REGISTRY}/api/2.0/mlflow-artifacts/artifacts/{made}/x"
    assert alice.put(path, data=b"hers").status_code == 200
    assert alice.get(path).content == b"hers"
    assert bob.get(f"{REGISTRY}{API}/experiments/get?experiment_id={made}").status_code == 403
    assert bob.get(path).status_code == 403
    assert bob.put(path, data=b"his").status_code == 403
    assert name not in bob.post(f"{REGISTRY}{API}/experiments/search", json={"max_results": 1000}).text
    own = bob.post(f"{REGISTRY}{API}/experiments/create", json={"name": f"of bob {os.urandom(4).hex()}"})
    number = own.json()["experiment_id"]
    assert bob.get(f"{REGISTRY}{API}/experiments/get?experiment_id={number}").status_code == 200
    # What only administrators may do.
    assert bob.post(f"{REGISTRY}{API}/users", json={"username": "eve", "display_name": "eve"}).status_code == 403


def test_scripts_use_tokens_of_the_registry(browser):
    bob = browser()
    log_in(bob, "bob")
    path = f"{REGISTRY}{API}/users/current/tokens"
    name = f"a script {os.urandom(4).hex()}"
    made = bob.post(path, json={"name": name, "expiration": "2027-06-01T00:00:00Z"})
    assert made.status_code == 201, made.text
    login = ("bob@example.test", made.json()["token"])
    assert search(browser(), auth=login).status_code == 200
    assert search(browser(), auth=("alice@example.test", made.json()["token"])).status_code == 401
    # A token makes no tokens: who has stolen one cannot outlive its end.
    assert (
        browser().post(path, json={"name": "more", "expiration": "2027-06-01T00:00:00Z"}, auth=login).status_code == 403
    )
    assert bob.delete(f"{path}/{made.json()['id']}").status_code == 200
    assert search(browser(), auth=login).status_code == 401


def test_scripts_use_tokens_of_the_provider_that_are_made_for_the_registry(browser):
    session = browser()
    log_in(browser(), "bob")
    answer = search(session, headers=token_of(session, "bob"))
    assert answer.status_code == 200, answer.text
    other = token_of(session, "bob", "another", "the secret of another application")
    assert search(session, headers=other).status_code == 401
    # The provider knows her, and the registry does not.
    assert search(session, headers=token_of(session, "mallory")).status_code == 401
    good = token_of(session, "bob")["Authorization"]
    assert search(session, headers={"Authorization": good[:-8] + "AAAAAAAA"}).status_code == 401


def test_only_its_own_names_and_pages_are_served(browser, admin_password):
    """Also by the plugin's own pages, of which `current` is one: MLflow's look after themselves."""
    login = {"auth": ("admin", admin_password)}
    assert current(browser(), **login).status_code == 200
    assert current(browser(), headers={"Host": "evil.example.test"}, **login).status_code == 403
    assert search(browser(), **login).status_code == 200
    assert search(browser(), headers={"Host": "evil.example.test"}, **login).status_code == 403
    assert search(browser(), headers={"Origin": "https://evil.example.test"}, **login).status_code == 403
    assert search(browser(), headers={"Origin": REGISTRY}, **login).status_code == 200


def test_the_audit_log_knows_people_by_name(host, browser):
    bob = browser()
    log_in(bob, "bob")
    canary = f"canary-{os.urandom(4).hex()}"
    answer = bob.get(f"{REGISTRY}{API}/registered-models/get?name={canary}", headers={"X-Mlops-Onprem-User": "alice"})
    assert "X-Mlops-Onprem-User" not in answer.headers
    bob.get(f"{REGISTRY}{API}/registered-models/get?name={canary}-token", headers=token_of(bob, "bob"))
    for word in (canary, f"{canary}-token"):
        line = json.loads(shell(host, f"grep '{word}\"' /var/log/mlops-onprem-model-registry/audit.log | tail -1"))
        assert line["user"] == "bob@example.test" and line["object"] == word


def test_the_registrys_own_administrator_is_for_machines(host, browser, admin_password):
    found = current(browser(), auth=("admin", admin_password)).json()
    assert found["is_admin"] is True and found["is_service_account"] is True
    assert search(browser(), auth=("admin", "not the password")).status_code == 401
    assert search(browser(), auth=("admin", "")).status_code == 401


def test_secrets_are_seen_nowhere(host, admin_password):
    assert shell(host, "stat --format='%a %U' /etc/mlflow/mlflow.env") == "600 root"
    seen = shell(
        host,
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl cat mlflow nginx; systemctl show mlflow; journalctl --no-pager -u mlflow -u nginx; "
        "cat /var/log/nginx/*.log /var/log/mlops-onprem-model-registry/* /etc/mlflow/*.ini",
    )
    assert "--app-name mlops-onprem-oidc" in seen
    assert SECRET not in seen and admin_password not in seen


def test_the_tables_are_the_ones_that_the_package_brings(host):
    known = yaml.safe_load((ROLE / "vars/main/login_oidc.yml").read_text())["__model_registry_oidc_revision"]
    heads = shell(
        host,
        "cd / && /opt/mlflow/current/bin/python -c 'import sys, alembic.script as s; print(*s.ScriptDirectory(sys.argv[1]).get_heads())' "
        "/opt/mlflow/current/lib/python3*/site-packages/mlflow_oidc_auth/db/migrations",
    )
    assert heads == known


def test_wrong_input_is_refused_all_at_once(host):
    wrong = {
        "model_registry_oidc": {"discovery_url": "http://identity.example.test/", "client_id": "registry"},
        "model_registry_users": [{"name": "carol"}],
        "model_registry_metrics": True,
    }
    code, text = play(host, "-e", json.dumps(wrong))
    assert code != 0 and "Nothing was changed" in text
    for phrase in (
        "model_registry_oidc is given without client_secret",
        "'http://identity.example.test/'; give the https:// address",
        "otherwise nobody may log in",
        "are for the registry's own accounts",
        "model_registry_metrics would be open to everybody",
    ):
        assert phrase in text, phrase


def test_without_the_provider_tokens_go_on_and_nobody_new_comes_in(host, browser, admin_password):
    bob = browser()
    log_in(bob, "bob")
    shell(host, "systemctl kill --signal=STOP identity")
    try:
        assert current(bob).status_code == 200
        assert search(browser(), auth=("admin", admin_password)).status_code == 200
    finally:
        shell(host, "systemctl kill --signal=CONT identity")
    # It is back, and needs no restart of the registry.
    assert log_in(browser(), "bob").url == f"{REGISTRY}/"


def test_other_tables_are_refused_by_the_role_and_by_the_unit(host, browser, admin_password):
    def revise(revision):
        query = f"UPDATE mlflow_oidc.alembic_version SET version_num = '{revision}'"
        shell(host, f'cd / && echo "{query}" | runuser -u mlflow -- psql -q mlflow')

    known = yaml.safe_load((ROLE / "vars/main/login_oidc.yml").read_text())["__model_registry_oidc_revision"]
    revise("f6a7b8c9d0e1")
    try:
        code, text = play(host)
        assert code != 0 and "at the revision f6a7b8c9d0e1" in text and "Nothing was changed" in text
        shell(host, "systemctl stop mlflow")
        shell(host, "timeout 30 systemctl start mlflow", code=1)
        shell(host, "systemctl stop mlflow")
        assert "Refusing to start" in shell(host, "journalctl -u mlflow --no-pager -n 50")
    finally:
        revise(known)
        shell(host, "systemctl reset-failed mlflow; systemctl start mlflow")
    code, text = play(host)
    assert code == 0, text[-2000:]
    assert search(browser(), auth=("admin", admin_password)).status_code == 200


def test_another_password_of_the_administrator_is_taken_over(host, browser):
    """The file on the controller was replaced: the next run makes it the registry's."""
    code, text = play(host, "-e", "model_registry_admin_password=quite_another_one_of_32_letters_")
    try:
        assert code == 0, text[-2000:]
        assert search(browser(), auth=("admin", "quite_another_one_of_32_letters_")).status_code == 200
    finally:
        code, text = play(host)
    assert code == 0, text[-2000:]
    assert search(browser(), auth=("admin", "quite_another_one_of_32_letters_")).status_code == 401

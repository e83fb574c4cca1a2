"""The module over a real connection with TLS and logins: what it says, what it hides, and what it does where nobody answers."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible.module_utils import basic
from ansible_collections.mlops.onprem.plugins.module_utils.registry.api import Login, Refused
from ansible_collections.mlops.onprem.plugins.modules import model_registry_access
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .server import Server

NAME = "registry.example.test"
SECRETS = {"ann": "canary-password-one", "ben": "canary-password-two"}
ADMIN = "the password of the admin"


def certificate(folder: Any) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(cert), str(secret)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_what: Any) -> None:
        """Silence."""

    def _answer(self) -> None:
        server: Any = self.server
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        url = urlsplit(self.path)
        user, _colon, password = base64.b64decode(self.headers["Authorization"][6:]).decode().partition(":")
        server.hosts.add(self.headers["Host"])
        status, answer = 200, {}
        with server.lock:
            if server.broken:
                status, answer = server.broken
            elif user not in server.registry.users or not server.registry.accepts(Login(user, password)):
                status = 401
            elif url.path.endswith("/users/current"):
                answer = {"user": {"username": user}}
            else:
                try:
                    answer = server.registry.call(self.command, url.path, body or dict(parse_qsl(url.query)))
                except Refused as refused:
                    status, answer = refused.status, {"error_code": refused.code, "message": str(refused)}
        text = json.dumps(answer).encode() if status != 401 else b"You are not authenticated"
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        if server.hang_up:
            # Without a word, as a proxy does with a connection that was idle for too long.
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def https(tls):
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.registry, server.lock, server.broken, server.hosts, server.hang_up = (
        Server(),
        threading.Lock(),
        None,
        set(),
        False,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def module(monkeypatch, capsys, https, tls):
    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {
            "address": "127.0.0.1",
            "port": https.server_address[1],
            "server_name": NAME,
            "ca": tls[0],
            "login_user": "admin",
            "login_password": ADMIN,
            "users": [{"name": "ann", "roles": ["team"]}, {"name": "ben"}],
            "passwords": SECRETS,
            "roles": [{"name": "team", "permissions": [{"resource": "fraud", "permission": "READ"}]}],
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            model_registry_access.main()
        text = capsys.readouterr().out
        assert "canary" not in text and ADMIN not in text
        return json.loads(text)

    return run


def test_one_run_does_it_and_a_second_one_does_nothing(module, https):
    result = module()
    assert result["changed"] is True
    assert result["done"] == [
        "make role team",
        "add READ on registered_model fraud to role team",
        "make user ann",
        "make user ben",
        "give user ann role team",
    ]
    assert result["diff"]["prepared"].splitlines() == result["done"]
    assert https.registry.users["ann"]["password"] == SECRETS["ann"]
    second = module()
    assert (second["changed"], second["done"]) == (False, [])
    assert https.hosts == {f"{NAME}:{https.server_address[1]}"}


def test_check_mode_says_it_and_changes_nothing(module, https):
    result = module(check=True)
    assert result["changed"] is True and len(result["done"]) == 5
    assert https.registry.calls == []


def test_a_connection_that_was_closed_is_made_anew(module, https):
    https.hang_up = True
    assert module()["changed"] is True
    assert module()["changed"] is False


def test_a_purge_is_only_done_when_asked_for(module, https):
    module()
    result = module(users=[{"name": "ann"}])
    assert result["unlisted"] == ["take role team from user ann", "remove user ben"]
    assert result["changed"] is False and "ben" in https.registry.users
    assert module(users=[{"name": "ann"}], purge=True)["done"] == result["unlisted"]
    assert "ben" not in https.registry.users


def test_wrong_input_is_refused_before_anybody_is_asked(module, https):
    result = module(users=[{"name": "ann", "roles": ["taem"]}, {"name": "ANN"}, {"name": "cid"}])
    assert result["failed"]
    for part in ("'taem' is not in", "differs in upper and lower case only", "no password for the user 'cid'"):
        assert part in result["msg"]
    assert https.hosts == set()


def test_nobody_there_is_an_error_and_in_check_mode_an_empty_registry(module, tmp_path):
    result = module(port=1)
    assert result["failed"] and "the registry cannot be asked: 127.0.0.1:1" in result["msg"]
    assert len(module(check=True, port=1)["done"]) == 5
    missing = str(tmp_path / "ca.pem")
    assert missing in module(ca=missing)["msg"]
    assert len(module(check=True, ca=missing)["done"]) == 5


def test_another_name_in_the_certificate_is_not_accepted(module, https):
    result = module(server_name="other.example.test", check=True)
    assert result["failed"] and "other.example.test" in result["msg"] and "SSLCertVerificationError" in result["msg"]
    assert https.hosts == set()


def test_a_wrong_password_of_the_administrator_is_named(module):
    assert "does not accept the password of 'admin'" in module(login_password="something else")["msg"]


def test_a_server_in_trouble_is_quoted(module, https):
    https.broken = (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "no database"})
    assert "the registry refused: 503 TEMPORARILY_UNAVAILABLE: no database" in module()["msg"]


def test_beside_the_proxy_it_is_asked_on_this_host_only(module):
    found = module(tls=False, ca=None, address="192.0.2.7")
    assert found["failed"] and "asked on 127.0.0.1 only, not on 192.0.2.7" in found["msg"]


def test_without_tls_a_server_of_tls_is_no_registry(module):
    found = module(tls=False, ca=None)
    assert found["failed"] and "the registry cannot be asked" in found["msg"]

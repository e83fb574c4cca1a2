"""People work, and no request fails: while a certificate that expires, or has expired, is renewed by a run of the role, and after
moments in which nobody asks anything."""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared/model_registry"))

import playing  # noqa: E402
from on_host import shell  # noqa: E402

NAME, PORT = "registry.example.test", 8443
SCENARIO = Path(__file__).resolve().parents[1]
TLS = "/etc/mlops-onprem/tls/model_registry"
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: a client that does not look at the clock.
NO_CLOCK = 0x200000
PAUSE = 0.05


def play(host):
    """The role again, from the controller."""
    return playing.run(playing.inventory_of(host), SCENARIO / "converge.yml", ANSIBLE_NOCOLOR="1")


class Client(threading.Thread):
    """Asks the API until it is told to stop: on one connection, or on a new one each time."""

    def __init__(self, address, ca, login, keeps, looks_at_the_clock=True):
        super().__init__(daemon=True)
        self.address, self.login, self.keeps = address, login, keeps
        self.context = ssl.create_default_context(cadata=ca)
        if not looks_at_the_clock:
            self.context.verify_flags |= NO_CLOCK
        self.ending = threading.Event()
        self.connection = None
        # When each answer came, what went wrong, requests that were sent again, numbers of the certificates that were seen.
        self.answers, self.failed, self.again, self.seen = [], [], 0, set()

    def connect(self):
        plain = socket.create_connection((self.address, PORT), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = http.client.HTTPConnection(self.address, PORT, timeout=60)
        self.connection.sock = self.context.wrap_socket(plain, server_hostname=NAME)
        self.seen.add(int(self.connection.sock.getpeercert()["serialNumber"], 16))

    def exchange(self):
        headers = {"Host": f"{NAME}:{PORT}", "Authorization": self.login, "Content-Type": "application/json"}
        self.connection.request("POST", "/api/2.0/mlflow/experiments/search", json.dumps({"max_results": 1}), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{answer.status}: {text[:200]!r}"
        # The server says so when it is about to close: the next request opens anew.
        if answer.will_close or not self.keeps:
            self.close()

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def ask(self):
        kept = self.connection is not None
        if not kept:
            self.connect()
        try:
            self.exchange()
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # A server may close a kept connection at any moment, also while a request is on its way to it; HTTP clients
            # send that one again (RFC 9112, 9.3.1), MLflow's among them. Nothing of the kind is allowed on a fresh connection.
            self.close()
            if not kept:
                raise
            self.again += 1
            self.connect()
            self.exchange()

    def run(self):
        while not self.ending.wait(PAUSE):
            try:
                self.ask()
                self.answers.append(time.monotonic())
            # Whatever it is, it is what a person would have seen.
            except Exception as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                self.close()


def replace_certificate(host, seconds):
    """The certificate as it is, for the same key and from the same CA, with so many seconds left."""
    folder = SCENARIO / ".mlops/secrets/ca"
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    old = x509.load_pem_x509_certificate(shell(host, f"cat {TLS}/cert.pem").encode())
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(authority.subject)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=300))
        .not_valid_after(now + datetime.timedelta(seconds=seconds))
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    new = builder.sign(key, hashes.SHA256())
    text = base64.b64encode(new.public_bytes(serialization.Encoding.PEM)).decode()
    shell(host, f"echo {text} | base64 -d > {TLS}/cert.pem && systemctl reload nginx")
    # The old workers end when their last connection does.
    time.sleep(1)
    return new.serial_number


def of_site(host):
    """Address, CA and login of the registry."""
    line = shell(host, "grep ^MLFLOW_AUTH_ADMIN_PASSWORD= /etc/mlflow/mlflow.env")
    login = b"admin:" + line.split("=", 1)[1].strip('"').encode()
    address = shell(host, "hostname -I").split()[0]
    return address, shell(host, f"cat {TLS}/ca.pem"), "Basic " + base64.b64encode(login).decode()


@pytest.mark.one_release
@pytest.mark.parametrize("left", [10 * 86400, 15], ids=["expiring", "expired"])
def test_a_certificate_is_renewed_under_load_and_no_request_fails(host, left):
    address, ca, login = of_site(host)
    expires = left < 86400
    begin = time.monotonic()
    old = replace_certificate(host, left)
    # Connections that were opened while it was good go on after it has expired. New ones can only come from clients that do
    # not look at the clock, then; all others are to be served again when the run has ended.
    kept = [Client(address, ca, login, keeps=True) for _unused in range(4)]
    new = [Client(address, ca, login, keeps=False, looks_at_the_clock=not expires) for _unused in range(2)]
    clients = kept + new
    proxy = shell(host, "systemctl show --property=MainPID --value nginx")
    for client in clients:
        client.start()
    try:
        if expires:
            time.sleep(max(0, begin + left + 2 - time.monotonic()))
            with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
                Client(address, ca, login, keeps=False).ask()
        result = play(host)
        renewed = time.monotonic()
        time.sleep(3)
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.join(120)
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    assert not [problem for client in clients for problem in client.failed]
    # One request of a connection at the most was on its way when the proxy closed it.
    assert sum(client.again for client in clients) <= len(kept)
    for client in clients:
        assert len([moment for moment in client.answers if moment < renewed]) > 20
        assert [moment for moment in client.answers if moment > renewed], "no request came after the renewal"
        assert old in client.seen and len(client.seen) == 2, "the new certificate was not seen"
    # By a reload: a restart would have turned people away.
    assert shell(host, "systemctl show --property=MainPID --value nginx") == proxy
    fresh = Client(address, ca, login, keeps=False)
    fresh.ask()
    assert old not in fresh.seen


@pytest.mark.one_release
def test_a_connection_that_was_idle_for_a_moment_is_used_again(host):
    """Between proxy and server, the server must not be the first who closes: the proxy's next request would meet its end."""
    address, ca, login = of_site(host)
    client = Client(address, ca, login, keeps=True)
    client.ask()
    opened = "ss -Htn state established '( dport = :5000 )' | awk '{print $3}' | sort"
    before = shell(host, opened).splitlines()
    assert before, "the proxy keeps no connection to the server"
    # Longer than the server would keep them by itself.
    time.sleep(8)
    after = shell(host, opened).splitlines()
    assert set(before) <= set(after), "the server closed what the proxy meant to use again"
    client.ask()
    client.close()

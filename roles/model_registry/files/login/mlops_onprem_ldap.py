"""The login through a directory (LDAP), as an authorization function of MLflow's basic login.

Names and passwords come as before, and the directory is asked for them: it is searched for the name, and then bound to with what
was found and the password. The account in the registry is made at the first login, with a password that nobody knows, and is an
administrator as long as the directory says so. The accounts that the registry had before the directory (its administrator, those
in model_registry_users) are its own, whoever has the same name in the directory.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import ssl
import threading
import time
from pathlib import Path

import ldap3
from flask import make_response, request
from ldap3.core.exceptions import (
    LDAPBusyResult,
    LDAPException,
    LDAPNoSuchObjectResult,
    LDAPOperationResult,
    LDAPStartTLSError,
    LDAPUnavailableResult,
)
from ldap3.utils.conv import escape_filter_chars
from mlflow.exceptions import MlflowException
from mlflow.server import auth
from werkzeug.datastructures import Authorization

_logger = logging.getLogger("mlflow.mlops_onprem_ldap")
# The most logins that are remembered, as MLflow has it.
MOST_REMEMBERED = 10000


class Refused(Exception):
    """Not let in; the reason is for the log."""


class Directory:
    """Where names, passwords and groups are. config: see docs/login.md."""

    def __init__(self, config, bind_password):
        self.config, self.bind_password = config, bind_password

    def _connect(self, url, name, password):
        timeout = self.config["timeout"]
        # The CA is read anew each time: it may have been replaced. Whom the certificate is for is checked by ldap3, by the address.
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.config["ca"])
        server = ldap3.Server(url, connect_timeout=timeout, tls=tls, get_info=ldap3.NONE)
        tls.sni = server.host
        connection = ldap3.Connection(
            server,
            user=name or None,
            password=password or None,
            authentication=ldap3.SIMPLE if name else ldap3.ANONYMOUS,
            receive_timeout=timeout,
            auto_referrals=False,
            raise_exceptions=True,
            check_names=False,
            read_only=True,
        )
        connection.open()
        # Before the password is sent.
        if not url.startswith("ldaps:") and not connection.start_tls():
            raise LDAPStartTLSError("no TLS")
        connection.bind()
        return connection

    def _search(self, connection, base, template, attribute, **words):
        """(dn, values of the attribute) of each entry."""
        for word, value in words.items():
            template = template.replace("{" + word + "}", escape_filter_chars(value))
        try:
            connection.search(base, template, attributes=[attribute])
        except LDAPNoSuchObjectResult:
            return []
        return [
            (entry["dn"], [str(value) for value in _listed(entry["attributes"].get(attribute))])
            for entry in connection.response
            if entry["type"] == "searchResEntry"
        ]

    def login(self, user, password):
        """(name as the directory writes it, groups). Refused for a wrong name or password, LDAPException without an answer."""
        # An LDAP server lets everybody in who sends a name and an empty password (RFC 4513, 5.1.2).
        if not user or not password:
            raise Refused("a name or a password is missing")
        problem = None
        for url in self.config["urls"]:
            try:
                return self._login_at(url, user, password)
            except LDAPException as error:
                _logger.warning("%s did not answer: %s", url, error)
                problem = error
        raise problem

    def _login_at(self, url, user, password):
        config = self.config
        with self._connect(url, config["bind_dn"], self.bind_password) as searching:
            found = self._search(
                searching, config["user_base"], config["user_filter"], config["user_attribute"], user=user
            )
            if len(found) != 1 or len(found[0][1]) != 1:
                raise Refused(f"{len(found)} entries for this name")
            dn, (name,) = found[0]
            try:
                with self._connect(url, dn, password):
                    pass
            except (LDAPBusyResult, LDAPUnavailableResult):
                raise
            except LDAPOperationResult as error:
                raise Refused(f"wrong password, or a locked account: {error.description}") from None
            groups = self._search(
                searching, config["group_base"], config["group_filter"], config["group_attribute"], user=name, dn=dn
            )
        return name, {group for _dn, values in groups for group in values}


def _listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]


class Remembered:
    """Logins that were right a moment ago: by what a memory dump does not tell, and for some seconds."""

    def __init__(self, seconds):
        self.seconds, self.key, self.lock, self.found = seconds, secrets.token_bytes(32), threading.Lock(), {}

    def _digest(self, user, password):
        return user, hmac.new(self.key, password.encode(), hashlib.sha256).digest()

    def get(self, user, password):
        with self.lock:
            name, until = self.found.get(self._digest(user, password), ("", 0))
        return name if time.monotonic() < until else ""

    def put(self, user, password, name):
        now = time.monotonic()
        with self.lock:
            if len(self.found) >= MOST_REMEMBERED:
                self.found = {key: value for key, value in self.found.items() if value[1] > now}
            if len(self.found) < MOST_REMEMBERED and self.seconds:
                self.found[self._digest(user, password)] = name, now + self.seconds


class Login:
    def __init__(self, config, bind_password):
        self.config, self.directory, self.remembered = (
            config,
            Directory(config, bind_password),
            Remembered(config["cache_seconds"]),
        )

    def is_local(self, name):
        return name.casefold() in {local.casefold() for local in self.config["local"]}

    def name_of(self, user, password):
        """The registry's name for somebody whom the directory knows. Raises Refused, LDAPException."""
        known = self.remembered.get(user, password)
        if known:
            return known
        name, groups = self.directory.login(user, password)
        # Names are compared without case and blanks there, and as they are here: one person is one account.
        if self.is_local(name):
            raise Refused("an account of the registry itself has this name")
        admin = bool(groups & set(self.config["admin_groups"]))
        if self.config["groups"] and not admin and not groups & set(self.config["groups"]):
            raise Refused("in none of the groups that may log in")
        self._provide(name, admin)
        self.remembered.put(user, password, name)
        return name

    def _provide(self, name, admin):
        if not auth.store.has_user(name):
            try:
                auth.store.create_user(name, secrets.token_urlsafe(48), is_admin=admin)
                return
            except MlflowException:
                # Another worker was faster.
                if not auth.store.has_user(name):
                    raise
        if auth.store.get_user(name).is_admin != admin:
            auth.store.update_user(name, is_admin=admin)

    def authenticate(self):
        given = request.authorization
        if given is None or given.type != "basic" or not given.username:
            return auth.make_basic_auth_response()
        if self.is_local(given.username):
            return auth.authenticate_request_basic_auth()
        try:
            name = self.name_of(given.username, given.password or "")
        except Refused as reason:
            _logger.info("%r was not let in: %s", given.username, reason)
            return auth.make_basic_auth_response()
        except LDAPException:
            # Not 401: nothing is wrong with the password, and clients may try again.
            return make_response("The directory does not answer. Try again, or ask whoever runs the registry.", 503)
        return Authorization("basic", {"username": name, "password": given.password})


_login = None
_lock = threading.Lock()


def authenticate_request():
    """What MLflow calls for each request, with Flask's request at hand."""
    global _login
    with _lock:
        if _login is None:
            config = json.loads(Path(os.environ["MLOPS_ONPREM_LDAP_CONFIG"]).read_text(encoding="utf-8"))
            _login = Login(config, os.environ.get("MLOPS_ONPREM_LDAP_BIND_PASSWORD", ""))
    return _login.authenticate()

"""A real OpenID Connect provider (Canaille) with three people, three groups and two applications, all in its memory."""

from __future__ import annotations

import secrets
import socket

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.oidc.jose import make_default_rsa_jwk
from werkzeug.serving import make_server

NAME, PORT = "identity.example.test", 9443
GROUPS = {"registry-admins": ["alice"], "registry-users": ["bob"], "others": ["mallory"]}
CLIENTS = {
    "registry": ("the secret of the registry at the provider", "https://registry.example.test:8443/callback"),
    "another": ("the secret of another application", "https://another.example.test/callback"),
}

app = create_app(
    {
        "SECRET_KEY": secrets.token_hex(32),
        "SERVER_NAME": f"{NAME}:{PORT}",
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "HTMX": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [make_default_rsa_jwk().as_dict(private=True)]},
    }
)
with app.app_context():
    for group, names in GROUPS.items():
        members = []
        for name in names:
            members.append(
                models.User(
                    user_name=name,
                    formatted_name=name.title(),
                    family_name=name.title(),
                    emails=[f"{name}@example.test"],
                    password=f"{name} has a password",
                )
            )
            Backend.instance.save(members[-1])
        Backend.instance.save(models.Group(display_name=group, members=members))
    for client_id, (secret, address) in CLIENTS.items():
        client = models.Client(
            client_id=client_id,
            client_secret=secret,
            client_name=client_id,
            redirect_uris=[address],
            client_uri=address.removesuffix("callback"),
            grant_types=["authorization_code", "refresh_token", "password"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
        )
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)

address = socket.gethostbyname(NAME)
make_server(address, PORT, app, threaded=True, ssl_context=(f"/srv/tls/{NAME}.pem", "/srv/tls/key.pem")).serve_forever()

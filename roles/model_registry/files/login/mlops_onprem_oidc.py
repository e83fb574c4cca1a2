"""The login through an OpenID Connect provider, as an app of MLflow: the plugin mlflow-oidc-auth, and two things that it leaves out.

It brings its own web application around MLflow's, and its own pages lack MLflow's checks of the host's name and of a page's origin;
they are put in front of all. And it tells nobody who asked: the proxy's audit log gets the name in a header, which the proxy keeps to itself.
"""

from __future__ import annotations

from mlflow.server.fastapi_security import init_fastapi_security
from mlflow_oidc_auth.app import app as oidc_app
from mlflow_oidc_auth.entities.auth_context import AUTH_CONTEXT_KEY

USER_HEADER = b"x-mlops-onprem-user"


class NamesTheUser:
    """Adds the name of the user who asked to each answer, and drops such a header from anybody else."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_user(message):
            if message["type"] == "http.response.start":
                context = scope.get(AUTH_CONTEXT_KEY)
                headers = [pair for pair in message.get("headers", []) if pair[0].lower() != USER_HEADER]
                if context is not None:
                    headers.append((USER_HEADER, context.username.encode("utf-8", "replace")))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_user if scope["type"] == "http" else send)


init_fastapi_security(oidc_app)
app = NamesTheUser(oidc_app)

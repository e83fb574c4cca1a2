"""Prepare the tables of the login through an OpenID Connect provider, in a schema of their own beside MLflow's.

    oidc_tables.py --create     make the schema and its tables
    oidc_tables.py              have the registry's own administrator there, before each start of the server

The administrator is an account for machines: the role, the housekeeping and the backups use it with the password that the registry
has anyway. Nobody can become it through the provider.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime

import sqlalchemy
from mlflow_oidc_auth.db.models import SqlUser, SqlUserToken
from mlflow_oidc_auth.db.utils import migrate
from mlflow_oidc_auth.repository.user_token import TOKEN_HASH_METHOD
from mlflow_oidc_auth.store import store
from werkzeug.security import generate_password_hash

SCHEMA = "mlflow_oidc"
NAME = "mlops.onprem"
# The method for generated tokens is fast, and safe for long random ones only.
LONG_ENOUGH = 32


def create():
    engine = sqlalchemy.create_engine(os.environ["OIDC_USERS_DB_URI"])
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    migrate(engine, "head")
    engine.dispose()


def provide_administrator(user, password):
    if not store.has_user(user):
        store.create_user(
            user, "The registry itself", is_admin=True, is_service_account=True, service_account_source="internal"
        )
    profile = store.get_user_profile(user)
    if not profile.is_service_account or not profile.is_admin:
        sys.exit(
            f"The account {user} belongs to a person of the provider: name another one in model_registry_admin_user."
        )
    if store.authenticate_user(user, password):
        return
    method = TOKEN_HASH_METHOD if len(password) >= LONG_ENOUGH else "scrypt"
    with store.ManagedSessionMaker(read_only=False) as session:
        number = session.query(SqlUser.id).filter(SqlUser.username == user).scalar()
        # A secret that was not made by the plugin has no prefix; each account has at most one of that kind.
        session.query(SqlUserToken).filter(SqlUserToken.user_id == number, SqlUserToken.token_prefix.is_(None)).delete()
        session.add(
            SqlUserToken(
                user_id=number,
                name=NAME,
                token_hash=generate_password_hash(password, method=method),
                created_at=datetime.utcnow(),
                created_by=NAME,
                # It changes when its file on the controller does.
                expires_at=datetime(9999, 1, 1),
            )
        )


def main():
    if sys.argv[1:] == ["--create"]:
        create()
    provide_administrator(os.environ["MLOPS_ONPREM_ADMIN_USER"].lower(), os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"])


if __name__ == "__main__":
    main()

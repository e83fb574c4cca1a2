"""A registry in memory that answers the calls as MLflow 3.17 does, with its refusals and with its own roles of each user."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.registry.api import Login, Refused


class Server:
    """`calls` are those that change something. `experiments` maps names to numbers."""

    def __init__(self, admin: str = "admin", experiments: dict[str, str] | None = None) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.roles: dict[int, dict[str, Any]] = {}
        self.experiments = experiments or {}
        self.deleted_experiments: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.last = 0
        self._add_user(admin, "the password of the admin", True)

    def _number(self) -> int:
        self.last += 1
        return self.last

    def _add_user(self, name: str, password: str, admin: bool) -> None:
        number = self._number()
        self.users[name] = {"id": number, "password": password, "admin": admin, "roles": set()}
        # What MLflow notes of a model that this user made.
        own = self.add_role(f"__user_{number}__")
        self.add_permission(own, "registered_model", f"made-by-{name}", "MANAGE")
        self.users[name]["roles"].add(own)

    def add_role(self, name: str, description: str = "", workspace: str = "default") -> int:
        if any((role["name"], role["workspace"]) == (name, workspace) for role in self.roles.values()):
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", name)
        number = self._number()
        self.roles[number] = {"name": name, "workspace": workspace, "description": description, "permissions": {}}
        return number

    def add_permission(self, role: int, kind: str, resource: str, permission: str) -> None:
        have = self.roles[role]["permissions"]
        if (kind, resource) in [entry[:2] for entry in have.values()]:
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", resource)
        have[self._number()] = (kind, resource, permission)

    def _role(self, number: int) -> dict[str, Any]:
        role = self.roles[number]
        permissions = [
            {
                "id": key,
                "role_id": number,
                "resource_type": kind,
                "resource_pattern": resource,
                "permission": permission,
            }
            for key, (kind, resource, permission) in role["permissions"].items()
        ]
        return {"id": number, **{k: role[k] for k in ("name", "workspace", "description")}, "permissions": permissions}

    def rights(self, user: str) -> dict[tuple[str, str], set[str]]:
        """What a user's roles say, by what it is about."""
        rights: dict[tuple[str, str], set[str]] = {}
        for number in self.users[user]["roles"]:
            for kind, resource, permission in self.roles[number]["permissions"].values():
                rights.setdefault((kind, resource), set()).add(permission)
        return rights

    def accepts(self, login: Login) -> bool:
        return self.users[login.user]["password"] == login.password

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if method == "GET":
            return getattr(self, "_get_" + path.split("/mlflow/")[1].replace("/", "_").replace("-", "_"))(body)
        self.calls.append((method, path))
        return (
            getattr(self, "_do_" + path.split("/mlflow/")[1].replace("/", "_").replace("-", "_"))(method, **body) or {}
        )

    def _get_users_list(self, _body: Any) -> dict[str, Any]:
        return {
            "users": [
                {
                    "id": user["id"],
                    "username": name,
                    "is_admin": user["admin"],
                    "roles": [self._role(number) for number in sorted(user["roles"])],
                }
                for name, user in self.users.items()
            ]
        }

    def _get_roles_list(self, _body: Any) -> dict[str, Any]:
        return {"roles": [self._role(number) for number in self.roles]}

    def _get_experiments_get_by_name(self, body: Any) -> dict[str, Any]:
        name = body["experiment_name"]
        if name not in self.experiments:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", name)
        stage = "deleted" if name in self.deleted_experiments else "active"
        return {"experiment": {"experiment_id": self.experiments[name], "lifecycle_stage": stage}}

    def _do_users_create(self, _method: str, username: str, password: str) -> None:
        if username in self.users:
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", username)
        if len(password) < 12:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "password")
        self._add_user(username, password, False)

    def _do_users_update_password(self, _method: str, username: str, password: str) -> None:
        self.users[username]["password"] = password

    def _do_users_update_admin(self, _method: str, username: str, is_admin: bool) -> None:
        self.users[username]["admin"] = is_admin

    def _do_users_delete(self, _method: str, username: str) -> None:
        if username == "admin":
            raise Refused(400, "BAD_REQUEST", "own account")
        if username not in self.users:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", username)
        number = self.users.pop(username)["id"]
        for key in [key for key, role in self.roles.items() if role["name"] == f"__user_{number}__"]:
            del self.roles[key]

    def _do_roles_create(self, _method: str, name: str, workspace: str, description: str) -> dict[str, Any]:
        if name.startswith("__user_"):
            raise Refused(400, "INVALID_PARAMETER_VALUE", name)
        return {"role": self._role(self.add_role(name, description, workspace))}

    def _do_roles_update(self, _method: str, role_id: int, description: str) -> None:
        self.roles[role_id]["description"] = description

    def _do_roles_delete(self, _method: str, role_id: int) -> None:
        if role_id not in self.roles:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", str(role_id))
        del self.roles[role_id]
        for user in self.users.values():
            user["roles"].discard(role_id)

    def _do_roles_permissions_add(
        self, _method: str, role_id: int, resource_type: str, resource_pattern: str, permission: str
    ) -> None:
        self.add_permission(role_id, resource_type, resource_pattern, permission)

    def _holder(self, number: int) -> dict[int, Any]:
        for role in self.roles.values():
            if number in role["permissions"]:
                return role["permissions"]
        raise Refused(404, "RESOURCE_DOES_NOT_EXIST", str(number))

    def _do_roles_permissions_update(self, _method: str, role_permission_id: int, permission: str) -> None:
        holder = self._holder(role_permission_id)
        holder[role_permission_id] = (*holder[role_permission_id][:2], permission)

    def _do_roles_permissions_remove(self, _method: str, role_permission_id: int) -> None:
        del self._holder(role_permission_id)[role_permission_id]

    def _do_roles_assign(self, _method: str, username: str, role_id: int) -> None:
        if role_id in self.users[username]["roles"]:
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", username)
        self.users[username]["roles"].add(role_id)

    def _do_roles_unassign(self, _method: str, username: str, role_id: int) -> None:
        if role_id not in self.users[username]["roles"]:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", username)
        self.users[username]["roles"].remove(role_id)

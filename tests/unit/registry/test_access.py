"""From any state to any wanted one: one run gets there, a second does nothing, and nothing else is touched."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.registry import access
from ansible_collections.mlops.onprem.plugins.module_utils.registry.api import Refused
from ansible_collections.mlops.onprem.plugins.module_utils.registry.problems import problems
from ansible_collections.mlops.onprem.plugins.module_utils.registry.wanted import gather

from .server import Server

PASSWORDS = {name: f"{name[0]}-password-of-somebody" for name in ("ann", "ben", "cid")}
READ = {"resource": "fraud", "permission": "READ"}


def provide(
    server: Any,
    users: list[Any] | None = None,
    roles: list[Any] | None = None,
    grants: list[Any] | None = None,
    purge: bool = False,
    rotate: tuple[str, ...] = (),
    check: bool = False,
    passwords: dict[str, str] | None = None,
) -> Any:
    users, roles, grants = users or [], roles or [], grants or []
    found = [text for text in problems(users, roles, grants, "admin", False) if "purge" not in text]
    assert not found, found
    wanted = gather(users, roles, grants)
    return access.provide(server, wanted, passwords or PASSWORDS, "admin", purge, set(rotate), check)


def picture(server: Server) -> Any:
    """What a person would see: no numbers."""
    names = {number: role["name"] for number, role in server.roles.items()}
    return (
        {
            name: (user["admin"], user["password"], sorted(names[number] for number in user["roles"]))
            for name, user in server.users.items()
        },
        {
            (role["name"], role["workspace"]): (role["description"], sorted(role["permissions"].values()))
            for role in server.roles.values()
        },
    )


# Each axis is one decision; the product is every inventory that can be made of them.
USERS = [
    [],
    [{"name": "ann"}],
    [{"name": "ann", "roles": ["team"]}, {"name": "ben"}],
    [{"name": "ann", "admin": True}, {"name": "ben", "state": "absent"}],
    [{"name": "ann", "state": "absent"}, {"name": "ben", "roles": ["team", "other"], "update_password": "on_create"}],
]
ROLES = [
    [{"name": "team"}, {"name": "other"}],
    [{"name": "team", "description": "the team", "permissions": [READ]}, {"name": "other"}],
    [
        {"name": "team", "permissions": [{**READ, "permission": "EDIT"}, {**READ, "type": "experiment"}]},
        {"name": "other", "permissions": [{"type": "run", "resource": "*", "permission": "DENY"}]},
    ],
]
GRANTS = [
    [],
    [{"user": "ann", **READ}],
    [{"user": "ann", **READ, "permission": "MANAGE"}, {"role": "team", "resource": "churn", "permission": "READ"}],
]


def inventories() -> list[Any]:
    whole = [dict(zip(("users", "roles", "grants"), parts)) for parts in itertools.product(USERS, ROLES, GRANTS)]
    return [one for one in whole if not problems(one["users"], one["roles"], one["grants"], "admin")]


def test_there_are_many_inventories():
    assert len(inventories()) >= 24


@pytest.mark.parametrize("purge", [False, True])
def test_from_every_inventory_to_every_other(purge):
    """After the second: exactly what it says with a purge; with the first one's leftovers without. And a third run does nothing."""
    for before, after in itertools.product(inventories(), repeat=2):
        server = Server(experiments={"fraud": "7"})
        provide(server, **before)
        left = copy.deepcopy(server)
        made = provide(server, **after, purge=purge)
        assert bool(made.steps) == (picture(server) != picture(left))
        calls = len(server.calls)
        again = provide(server, **after, purge=purge)
        assert not again.steps and len(server.calls) == calls
        if purge:
            fresh = Server(experiments={"fraud": "7"})
            provide(fresh, **after)
            assert _without_numbers(picture(server)) == _without_numbers(picture(fresh))
            assert not again.unlisted
        else:
            absent = {user["name"] for user in after["users"] if user.get("state") == "absent"}
            assert set(left.users) - absent <= set(server.users)


def _without_numbers(what: Any) -> Any:
    """MLflow's own roles have a number in their names, which another history makes another."""
    users, roles = what
    return (
        {
            name: (admin, password, [role for role in names if "__user_" not in role])
            for name, (admin, password, names) in users.items()
        },
        # A description that nobody wants any more is left alone.
        {key: permissions for key, (_description, permissions) in roles.items() if "__user_" not in key[0]},
    )


def test_check_mode_says_the_same_and_changes_nothing():
    for before, after in itertools.product(inventories(), repeat=2):
        server = Server(experiments={"fraud": "7"})
        provide(server, **before)
        state, calls = picture(server), len(server.calls)
        planned = provide(server, **after, purge=True, check=True)
        assert (picture(server), len(server.calls)) == (state, calls)
        done = provide(server, **after, purge=True)
        assert [step.text for step in planned.steps] == [step.text for step in done.steps]
        assert planned.unlisted == done.unlisted


def test_what_people_made_themselves_stays_theirs():
    server = Server()
    provide(server, [{"name": "ann"}], grants=[{"user": "ann", **READ}])
    provide(server, [{"name": "ann"}], purge=True)
    assert server.rights("ann") == {("registered_model", "made-by-ann"): {"MANAGE"}}


def test_the_administrator_stays_in_a_purge():
    server = Server()
    provide(server, [{"name": "ann"}])
    server._add_user("root2", "a password of a second", True)
    provide(server, [{"name": "ann"}], purge=True)
    assert set(server.users) == {"admin", "ann"}


def test_roles_of_other_workspaces_are_not_ours():
    server = Server()
    server.add_role("team", workspace="elsewhere")
    provide(server, [{"name": "ann", "roles": ["team"]}], [{"name": "team"}], purge=True)
    names = sorted((role["name"], role["workspace"]) for role in server.roles.values() if "__" not in role["name"])
    assert names == [("team", "default"), ("team", "elsewhere")]


def test_what_is_not_listed_is_named_and_stays():
    server = Server()
    provide(server, [{"name": "ann", "roles": ["team"]}, {"name": "ben"}], [{"name": "team", "permissions": [READ]}])
    plan = provide(server, [{"name": "ann"}], [{"name": "team"}])
    assert plan.unlisted == [
        "take READ on registered_model fraud from role team",
        "take role team from user ann",
        "remove user ben",
    ]
    assert not plan.steps


def test_one_user_goes_without_a_purge():
    server = Server()
    grants = [{"user": "ben", **READ}]
    provide(server, [{"name": "ann"}, {"name": "ben"}], grants=grants)
    plan = provide(server, [{"name": "ann"}, {"name": "ben", "state": "absent"}])
    assert [step.text for step in plan.steps] == ["remove user ben", "remove the grants of user ben"]
    assert set(server.users) == {"admin", "ann"}


def test_an_experiment_that_is_not_there_yet_is_waited_for():
    server = Server(experiments={"gone": "3"})
    server.deleted_experiments.add("gone")
    grants = [
        {"user": "ann", "type": "experiment", "resource": name, "permission": "READ"} for name in ("later", "gone", "*")
    ]
    plan = provide(server, [{"name": "ann"}], grants=grants)
    assert plan.waiting == [
        "READ on the experiment 'later' for the grants of user ann: it does not exist yet",
        "READ on the experiment 'gone' for the grants of user ann: it does not exist yet",
    ]
    server.experiments["later"] = "12"
    plan = provide(server, [{"name": "ann"}], grants=grants)
    assert [step.text for step in plan.steps] == ["add READ on experiment later to the grants of user ann"]
    assert server.rights("ann")["experiment", "12"] == {"READ"}


def test_a_password_that_differs_is_set_back_unless_people_choose_their_own():
    for update, expected in (("always", PASSWORDS["ann"]), ("on_create", "what ann chose herself")):
        server = Server()
        users = [{"name": "ann", "update_password": update}]
        provide(server, users)
        assert server.users["ann"]["password"] == PASSWORDS["ann"]
        server.users["ann"]["password"] = "what ann chose herself"
        provide(server, users)
        assert server.users["ann"]["password"] == expected
        # When asked, in any case.
        provide(server, users, rotate=("ann",), passwords={"ann": "another one for ann"})
        assert server.users["ann"]["password"] == "another one for ann"


def test_no_step_has_a_password():
    server = Server()
    plan = provide(server, [{"name": name} for name in PASSWORDS], check=True)
    assert not [word for word in PASSWORDS.values() if word in repr(plan)]


class Racing(Server):
    """Another run does the same between our look and our call."""

    def __init__(self, other: Any) -> None:
        super().__init__()
        self.other = other

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if method != "GET" and self.other:
            other, self.other = self.other, None
            other(self)
        return super().call(method, path, body)


def test_two_runs_at_once_both_end_well():
    whole = {
        "users": [{"name": "ann", "roles": ["team"]}],
        "roles": [{"name": "team", "permissions": [READ]}],
        "grants": [{"user": "ann", "resource": "churn", "permission": "EDIT"}],
    }
    server = Racing(lambda server: provide(server, **whole))
    provide(server, **whole)
    plain = Server()
    provide(plain, **whole)
    assert picture(server) == picture(plain)


def test_a_user_whom_another_run_removed_is_no_error():
    server = Racing(None)
    provide(server, [{"name": "ann"}])
    server.other = lambda server: server.call("DELETE", "/api/2.0/mlflow/users/delete", {"username": "ann"})
    provide(server, [{"name": "ann", "state": "absent"}])
    assert set(server.users) == {"admin"}


def test_other_refusals_are_told():
    with pytest.raises(Refused, match="INVALID_PARAMETER_VALUE"):
        provide(Server(), [{"name": "ann"}], passwords={"ann": "short"})


def test_calls_that_change_nothing_are_told():
    class Deaf(Server):
        def _do_users_update_admin(self, _method: str, username: str, is_admin: bool) -> None:
            """Say yes and do nothing."""

    with pytest.raises(access.NoEffect, match="make user ann an administrator"):
        provide(Deaf(), [{"name": "ann", "admin": True}])


def test_interrupted_anywhere_the_next_run_completes_it():
    whole = {
        "users": [{"name": "ann", "roles": ["team"], "admin": True}, {"name": "ben", "state": "absent"}],
        "roles": [{"name": "team", "description": "d", "permissions": [READ]}],
        "grants": [{"user": "ann", "resource": "churn", "permission": "EDIT"}],
    }
    plain = Server()
    provide(plain, [{"name": "ben"}])
    provide(plain, **whole)
    for after in range(1, 12):

        class Cut(Server):
            left = after

            def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
                if method != "GET":
                    self.left -= 1
                    if not self.left:
                        raise KeyboardInterrupt
                return super().call(method, path, body)

        server = Cut()
        server._add_user("ben", PASSWORDS["ben"], False)
        try:
            provide(server, **whole)
        except KeyboardInterrupt:
            provide(server, **whole)
        assert _without_numbers(picture(server)) == _without_numbers(picture(plain))

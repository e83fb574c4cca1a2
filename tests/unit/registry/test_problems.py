"""Everything that can be wrong with users, roles and grants is said at once, with where and how to mend it, and without passwords."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.filter.model_registry_access_problems import FilterModule
from ansible_collections.mlops.onprem.plugins.module_utils.registry import wanted
from ansible_collections.mlops.onprem.plugins.module_utils.registry.problems import problems, weakness

READ = {"resource": "fraud", "permission": "READ"}


def wrong(users: Any = (), roles: Any = (), grants: Any = (), **more: Any) -> list[str]:
    return problems(list(users), list(roles), list(grants), "admin", **more)


def test_what_is_right_is_right():
    assert wrong() == []
    assert (
        wrong(
            [
                {"name": "ann.b-c_d@example.com", "password": "long enough: yes", "roles": ["team one"], "admin": True},
                {"name": "ben", "state": "absent", "password": "x"},
            ],
            [{"name": "team one", "permissions": [READ, {**READ, "type": "experiment"}, {**READ, "resource": "*"}]}],
            [
                {"user": "ann.b-c_d@example.com", **READ},
                {"role": "team one", "resource": "churn", "permission": "EDIT"},
            ],
            purge=True,
            rotate=[],
        )
        == []
    )


@pytest.mark.parametrize("kind", wanted.TYPES)
@pytest.mark.parametrize("permission", wanted.PERMISSIONS)
def test_every_type_and_permission_is_known(kind, permission):
    assert (
        wrong([{"name": "ann"}], grants=[{"user": "ann", "type": kind, "resource": "*", "permission": permission}])
        == []
    )
    single = wrong([{"name": "ann"}], grants=[{"user": "ann", "type": kind, "resource": "x", "permission": permission}])
    assert bool(single) == (kind in wanted.ALL_ONLY)


CASES: list[tuple[dict[str, Any], str]] = [
    ({"users": [{"name": "ann"}, {"name": "ann"}]}, "model_registry_users[1] (ann): there is a second entry for this name. Keep one"),
    ({"users": [{"name": "ann"}, {"name": "Ann"}]}, "second entry for this name; 'ann' differs in upper and lower case only"),
    ({"users": [{"name": "ann"}, {"name": "ann", "state": "absent"}]}, "second entry"),
    ({"users": [{"name": "a:b"}]}, "a name begins with a letter or digit"),
    ({"users": [{"name": "../up"}]}, "a name begins with"),
    ({"users": [{"name": ""}]}, "a name begins with"),
    ({"users": [{"name": "ann\n"}]}, "a name begins with"),
    ({"users": [{"name": "ann", "password": "short"}]}, "the password has fewer than 12 characters. Give a better one, or none"),
    ({"users": [{"name": "ann", "password": ""}]}, "fewer than 12 characters"),
    ({"users": [{"name": "ann", "password": "aaaaaaaaaaaaaaaa"}]}, "fewer than 5 different characters"),
    ({"users": [{"name": "ann", "password": "two lines\nof text"}]}, "a line break"),
    ({"users": [{"name": "anna", "password": "Anna2026!Anna"}]}, "the user's name in it"),
    ({"users": [{"name": "admin"}]}, "the administrator is given by model_registry_admin_user"),
    ({"users": [{"name": "Admin"}]}, "the administrator is given by model_registry_admin_user"),
    ({"users": [{"name": "admin", "state": "absent"}]}, "the administrator cannot remove himself"),
    ({"users": [{"name": "ann", "roles": ["taem"]}], "roles": [{"name": "team"}]}, "the role 'taem' is not in model_registry_roles; did you mean 'team'?"),
    ({"users": [{"name": "ann", "roles": ["team"]}]}, "the role 'team' is not in model_registry_roles; there is none"),
    ({"purge": True}, "all users would be removed"),
    ({"users": [{"name": "ann", "state": "absent"}], "purge": True}, "all users would be removed"),
    ({"roles": [{"name": "team"}, {"name": "TEAM"}]}, "model_registry_roles[1] (TEAM): there is a second entry"),
    ({"roles": [{"name": "user:ann"}]}, "a name begins with"),
    ({"roles": [{"name": "__user_1__"}]}, "a name begins with"),
    ({"roles": [{"name": "team", "permissions": [READ, READ]}]}, "model_registry_roles[0] (team), permissions[1]: there is a second permission"),
    ({"roles": [{"name": "team", "permissions": [{**READ, "type": "model"}]}]}, "the type 'model' is not known"),
    ({"roles": [{"name": "team", "permissions": [{**READ, "permission": "WRITE"}]}]}, "the permission 'WRITE' is not known"),
    ({"roles": [{"name": "team", "permissions": [{**READ, "permission": "NO_PERMISSIONS"}]}]}, "is not known"),
    ({"roles": [{"name": "team", "permissions": [{**READ, "resource": ""}]}]}, "the resource is a name"),
    ({"roles": [{"name": "team", "permissions": [{**READ, "type": "run"}]}]}, "use '*' for all"),
    ({"grants": [{"user": "ann", **READ}]}, "the user 'ann' is not in model_registry_users, or shall be absent; there is none"),
    ({"users": [{"name": "ann"}], "grants": [{"user": "Ann", **READ}]}, "did you mean 'ann'?"),
    ({"users": [{"name": "ann", "state": "absent"}], "grants": [{"user": "ann", **READ}]}, "or shall be absent"),
    ({"grants": [{"role": "team", **READ}]}, "the role 'team' is not in model_registry_roles"),
    ({"grants": [READ]}, "model_registry_grants[0] (nobody): a grant is for a user or for a role"),
    ({"users": [{"name": "ann"}], "roles": [{"name": "team"}], "grants": [{"user": "ann", "role": "team", **READ}]}, "give one of the two"),
    ({"grants": [{"user": "admin", **READ}]}, "the administrator may do everything already"),
    (
        {"users": [{"name": "ann"}], "grants": [{"user": "ann", **READ}, {"user": "ann", **READ, "permission": "EDIT"}]},
        "model_registry_grants[1] (ann): there is a second",
    ),
    ({"roles": [{"name": "team", "permissions": [READ]}], "grants": [{"role": "team", **READ}]}, "there is a second permission for the same thing"),
    ({"rotate": ["ann"]}, "model_registry_users_rotate: 'ann' is not in model_registry_users"),
    ({"rotate": ["admin"]}, "is the administrator"),
    ({"users": [{"name": "ann", "password": "long enough: yes"}], "rotate": ["ann"]}, "is given: give another one instead"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "expected"), CASES)
def test_each_mistake_is_named(what, expected):
    found = wrong(**what)
    assert [text for text in found if expected in text], found


def test_all_mistakes_are_told_at_once_and_no_password_is():
    found = wrong(
        [{"name": "ann", "password": "Short1"}, {"name": "ben", "password": "Short2", "roles": ["no"]}],
        grants=[{"user": "cid", **READ}],
    )
    assert len(found) == 4
    assert "Short" not in " ".join(found)


@pytest.mark.parametrize("length", range(20))
def test_the_shortest_password_is_the_servers(length):
    assert bool(weakness("ann", "aB3$efghiJ5%lmnopqrst"[:length])) == (length < 12)


def test_the_filter_says_the_same():
    call = FilterModule().filters()["model_registry_access_problems"]
    assert call([{"name": "a:b"}], [], [], "admin", True, ["x"]) == wrong([{"name": "a:b"}], purge=True, rotate=["x"])

"""Which runner of the forge is which slot's, and which token is kept."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.filter import ci_runner_registrations, ci_runner_secrets

SLOT = {"name": "gpu0", "runner": "node1-gpu0", "labels": ["gpu"], "token": ""}
OPTIONS = {"url": "https://git.example.com/", "run_untagged": False, "gitlab": {"locked": True}}


def asked(provider, known=None, host=None, slot=None):
    function = ci_runner_registrations.FilterModule().filters()["ci_runner_registrations"]
    return function(
        [{**SLOT, **(slot or {})}], {**OPTIONS, "provider": provider}, {"gpu0": known or {}}, {"gpu0": host or {}}
    )


def kept(provider, known=None, tokens=None, slot=None):
    function = ci_runner_secrets.FilterModule().filters()["ci_runner_secrets"]
    return function(
        [{**SLOT, **(slot or {})}], provider, {"gpu0": known or {}}, {"node1-gpu0": tokens} if tokens else {}
    )


def test_what_an_earlier_run_kept_is_known():
    one = asked("gitlab", {"id": "7", "token": "t", "registration": "never"})[0]
    assert one["known"] == {"id": "7", "token": "t"}
    assert one["more"] == {"run_untagged": False, "locked": True}
    assert not one["registered"]
    assert asked("forgejo")[0]["more"] == {}


def test_a_host_is_registered_where_name_and_forge_are_the_same():
    there = {"id": "5", "name": "node1-gpu0", "address": "https://git.example.com"}
    assert asked("gitea", host=there)[0]["registered"]
    assert asked("gitea", host=there)[0]["known"] == {"id": "5"}
    assert not asked("gitea", host={**there, "name": "other"})[0]["registered"]
    assert not asked("gitea", host={**there, "address": "https://git.example.com.evil.example"})[0]["registered"]
    assert asked("github", host={"id": "5", "name": "node1-gpu0", "url": "https://git.example.com/acme"})[0][
        "registered"
    ]
    # Gitea's runner writes 0 where the server told it no number.
    assert asked("gitea", host={**there, "id": "0"})[0]["known"] == {}


def test_a_given_token_is_not_asked_for():
    assert asked("gitlab", slot={"token": "glrt-x"}) == []
    assert len(asked("buildbot", slot={"token": "password"})) == 1
    assert kept("gitlab", slot={"token": "glrt-x"})["secrets"]["gpu0"]["token"] == "glrt-x"
    given = kept("forgejo", slot={"token": "7c31591e8b67225a116d4a4519ea8e507e08f71f"})["secrets"]["gpu0"]
    assert given["uuid"] == "37633331-3539-3165-3862-363732323561"


def test_what_was_just_made_is_kept_but_no_token_of_an_hour():
    found = kept("gitea", tokens={"id": "", "uuid": "", "token": "", "registration": "hour"})
    assert found["secrets"]["gpu0"]["registration"] == "hour"
    assert found["stored"] == {}
    found = kept(
        "gitlab", known={"id": "1", "token": "old"}, tokens={"id": "2", "uuid": "", "token": "new", "registration": ""}
    )
    assert found["stored"] == {"gpu0": {"id": "2", "token": "new"}}
    assert kept("gitlab", known={"id": "1", "token": "old"})["stored"] == {"gpu0": {"id": "1", "token": "old"}}


def test_what_is_known_of_other_slots_stays():
    function = ci_runner_secrets.FilterModule().filters()["ci_runner_secrets"]
    assert function([SLOT], "gitlab", {"old": {"id": "1", "token": "t"}}, {})["stored"] == {
        "old": {"id": "1", "token": "t"}
    }


def test_check_mode_has_nothing_yet():
    assert kept("gitlab") == {
        "secrets": {"gpu0": {"id": "", "uuid": "", "token": "", "registration": ""}},
        "stored": {},
    }

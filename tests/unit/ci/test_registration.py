"""The module against the contract servers: what it makes, leaves alone, refuses, and how long it tries."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.ci import http, registration
from contracts.buildbot import Buildbot
from contracts.forgejo import Forgejo
from contracts.gitea import Gitea
from contracts.github import GitHub
from contracts.gitlab import GitLab

from .asked import run

FORGES = {
    "gitlab": (GitLab, "instance"),
    "github": (GitHub, "org:acme"),
    "forgejo": (Forgejo, "org:acme"),
    "gitea": (Gitea, "instance"),
    "buildbot": (Buildbot, "instance"),
}
# Those whose API makes the runner itself.
BY_API = ("gitlab", "forgejo")
# Those whose runner registers itself with a token of an hour.
BY_HOST = ("github", "gitea")
LIST = {
    "gitlab": "GET /api/v4/runners/all",
    "github": "GET /api/v3/orgs/acme/actions/runners",
    "forgejo": "GET /api/v1/orgs/acme/actions/runners",
    "gitea": "GET /api/v1/admin/actions/runners",
    "buildbot": "GET /api/v2/workers",
}
CREATE = {
    "gitlab": "POST /api/v4/user/runners",
    "github": "POST /api/v3/orgs/acme/actions/runners/registration-token",
    "forgejo": "POST /api/v1/orgs/acme/actions/runners",
    "gitea": "POST /api/v1/admin/actions/runners/registration-token",
}


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Waiting is counted, and takes no time."""
    waited = []
    # Nothing here has TLS, and reading the computer's CAs for each call is most of what a test takes.
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    for place in (http, registration):
        monkeypatch.setattr(place, "time", SimpleNamespace(sleep=waited.append, time=time.time))
    return waited


def of(*providers):
    """For some forges only; a test without it is for all."""
    return pytest.mark.parametrize("served", providers, indirect=True)


@pytest.fixture(params=list(FORGES))
def served(request):
    kind, scope = FORGES[request.param]
    with kind() as server:
        yield request.param, server, scope
    assert not server.violations, server.violations


def ask(served, names, check=False, **options):
    provider, server, scope = served
    runners = [one if isinstance(one, dict) else {"name": one} for one in names]
    options = {"api_token": server.token, "url": server.url, **options}
    return run(check, provider=provider, scope=scope, runners=runners, **options)


def changing(server):
    return [call for call in server.calls if not call.startswith("GET")]


def there(provider, server, name, **more):
    """A runner that is on the server; returns what an earlier run knows of it."""
    if provider == "github":
        return {"id": str(server.add(name, more.pop("labels", []), **more))}
    if provider == "buildbot":
        return {"id": str(server.add(name))}
    number = server.add(name)
    known = {"id": str(number)}
    if provider == "forgejo":
        known["uuid"] = server.runners[number]["uuid"]
    return known


@of(*BY_API, *BY_HOST)
def test_a_runner_is_made_once_and_its_token_is_returned(served):
    provider, server, _scope = served
    answer = ask(served, [{"name": "node1-gpu0", "labels": ["gpu", "h100"]}])
    assert answer["changed"]
    assert answer["done"] == ["create node1-gpu0"]
    made = answer["tokens"]["node1-gpu0"]
    assert made["registration" if provider in BY_HOST else "token"]
    if provider in BY_API:
        again = ask(served, [{"name": "node1-gpu0", "labels": ["gpu", "h100"], "known": {**made, "registration": ""}}])
        assert not again["changed"]
        assert again["tokens"] == {}
        assert again["runners"]["node1-gpu0"]["id"] == made["id"]
        assert made["token"] not in str(again)
    assert len(changing(server)) == 1


@of(*BY_API, *BY_HOST)
def test_check_mode_asks_and_plans(served):
    provider, server, _scope = served
    answer = ask(served, ["node1-gpu0"], check=True)
    assert answer["changed"]
    assert answer["done"] == ["create node1-gpu0"]
    assert answer["tokens"] == {}
    assert server.calls == [LIST[provider]]


def test_a_runner_that_is_there_is_left_alone(served):
    provider, server, _scope = served
    known = there(provider, server, "node1-gpu0")
    answer = ask(served, [{"name": "node1-gpu0", "known": known, "registered": True}])
    assert not answer["changed"], answer
    assert answer["offline"] == ["node1-gpu0"]
    assert not changing(server)


@of(*BY_HOST)
def test_a_host_that_is_registered_is_found_by_its_name(served):
    there(served[0], served[1], "node1-gpu0")
    assert not ask(served, [{"name": "node1-gpu0", "registered": True}])["changed"]


def test_more_runners_than_a_page(served):
    """31 are more than GitHub's and Gitea's usual page, 101 more than the largest of GitLab's and GitHub's."""
    provider, server, _scope = served
    for number in range(130):
        there(provider, server, f"other-{number}")
    known = there(provider, server, "node1-gpu0")
    answer = ask(served, [{"name": "node1-gpu0", "known": known, "registered": True}])
    assert not answer["changed"], answer
    pages = [call for call in server.calls if call == LIST[provider]]
    assert len(pages) == {"gitlab": 2, "github": 2, "forgejo": 3, "gitea": 3, "buildbot": 1}[provider]


@of("gitlab", "github", "forgejo", "gitea")
@pytest.mark.parametrize("page", [1, 7, 30])
def test_a_server_with_smaller_pages_than_asked_for(served, page, monkeypatch):
    provider, server, _scope = served
    known = [there(provider, server, f"node1-{number}") for number in range(31)]
    page_of = type(server).page
    monkeypatch.setattr(
        type(server),
        "page",
        lambda self, entries, query, path: page_of(
            self, entries, {**query, "per_page": str(page), "limit": str(page)}, path
        ),
    )
    wanted = [{"name": f"node1-{number}", "known": one, "registered": True} for number, one in enumerate(known)]
    assert not ask(served, wanted)["changed"]


@of(*BY_API, *BY_HOST)
def test_a_runner_that_was_deleted_behind_our_back(served):
    provider, server, _scope = served
    known = there(provider, server, "node1-gpu0")
    server.forget("node1-gpu0")
    wanted = [{"name": "node1-gpu0", "known": known, "registered": True}]
    refused = ask(served, wanted)
    assert refused["failed"]
    assert "ci_runner_recreate: true" in refused["msg"]
    assert not changing(server)
    made = ask(served, wanted, recreate=True)
    assert made["done"] == ["create node1-gpu0"]
    assert made["tokens"]["node1-gpu0"]


@of(*BY_API, *BY_HOST)
def test_a_runner_of_the_same_name_is_not_taken(served):
    provider, server, _scope = served
    there(provider, server, "node1-gpu0")
    refused = ask(served, ["node1-gpu0"])
    assert refused["failed"]
    assert "nothing is known of it here" in refused["msg"]
    assert "ci_runner_name" in refused["msg"]
    assert not changing(server)
    made = ask(served, ["node1-gpu0"], recreate=True)
    assert [step.split(" (")[0] for step in made["done"]] == ["delete node1-gpu0", "create node1-gpu0"]


@of("forgejo", "gitea")
def test_several_runners_of_the_same_name(served):
    provider, server, _scope = served
    there(provider, server, "node1-gpu0")
    there(provider, server, "node1-gpu0")
    assert "which is ours is not known" in ask(served, ["node1-gpu0"])["msg"]
    assert ask(served, ["node1-gpu0"], state="absent")["failed"]
    if provider == "gitea":
        assert "which is ours is not known" in ask(served, [{"name": "node1-gpu0", "registered": True}])["msg"]
    assert not changing(server)


@of(*BY_API, *BY_HOST)
def test_absent_deletes_on_the_server_and_is_repeatable(served):
    provider, server, _scope = served
    known = there(provider, server, "node1-gpu0")
    there(provider, server, "another")
    wanted = [{"name": "node1-gpu0", "known": known}]
    assert ask(served, wanted, check=True, state="absent")["changed"]
    assert len(server.runners) == 2
    assert ask(served, wanted, state="absent")["changed"]
    assert [one.get("description") or one.get("name") for one in server.runners.values()] in (
        ["another"],
        ["another", ""],
    )
    assert not ask(served, wanted, state="absent")["changed"]


@of("gitlab", "gitea", "buildbot")
def test_drained_waits_for_the_running_job(served):
    provider, server, _scope = served
    known = there(provider, server, "node1-gpu0")
    server.running[int(known["id"])] = 2
    answer = ask(served, [{"name": "node1-gpu0", "known": known}], state="drained", wait=60)
    assert answer["changed"]
    assert answer["runners"]["node1-gpu0"]["busy"] is False
    again = ask(served, [{"name": "node1-gpu0", "known": known}], state="drained", wait=60)
    assert not again["changed"]
    server.running[int(known["id"])] = 100
    assert ask(served, [{"name": "node1-gpu0", "known": known}], state="drained", wait=10)["runners"]["node1-gpu0"][
        "busy"
    ]
    back = ask(served, [{"name": "node1-gpu0", "known": known}])
    if provider != "gitlab":
        assert back["changed"], "present puts a paused runner back"


def test_online_waits(served, monkeypatch):
    provider, server, _scope = served
    known = there(provider, server, "node1-gpu0")
    wanted = [{"name": "node1-gpu0", "known": known}]
    assert ask(served, wanted, state="online")["offline"] == ["node1-gpu0"]
    monkeypatch.setattr(registration, "time", SimpleNamespace(sleep=lambda _seconds: server.host(online="node1-gpu0")))
    answer = ask(served, wanted, state="online", wait=30)
    assert answer["offline"] == []
    assert not answer["changed"]


@of("gitlab")
def test_what_changes_in_place_at_gitlab(served):
    server = served[1]
    known = {"id": str(server.add("node1-gpu0", tags="gpu,old", locked=True))}
    wanted = {
        "name": "node1-gpu0",
        "known": known,
        "labels": ["gpu", "new"],
        "more": {"locked": False, "run_untagged": None},
    }
    assert ask(served, [wanted])["done"] == ["change node1-gpu0: locked, tag_list"]
    assert server.runners[1]["tag_list"] == ["gpu", "new"]
    assert not ask(served, [wanted])["changed"]


@of("github")
def test_labels_change_in_place_at_github_without_its_own(served):
    server = served[1]
    known = {"id": str(server.add("node1-gpu0", ["gpu", "old"]))}
    wanted = {"name": "node1-gpu0", "known": known, "registered": True, "labels": ["GPU", "self-hosted", "new"]}
    assert ask(served, [wanted])["done"] == ["change node1-gpu0: labels"]
    assert [label["name"] for label in server.runners[1]["labels"]] == ["self-hosted", "Linux", "X64", "GPU", "new"]
    assert not ask(served, [wanted])["changed"]


@of("github")
def test_github_is_drained_by_its_labels(served):
    server = served[1]
    known = {"id": str(server.add("node1-gpu0", ["gpu"]))}
    assert ask(served, [{"name": "node1-gpu0", "known": known, "labels": ["gpu"]}], state="drained")["changed"]
    assert [label["name"] for label in server.runners[1]["labels"]] == ["self-hosted", "Linux", "X64"]
    assert ask(served, [{"name": "node1-gpu0", "known": known, "registered": True, "labels": ["gpu"]}])["changed"]


@of("buildbot")
def test_a_worker_that_the_master_does_not_know(served):
    server = served[1]
    server.add("node1-gpu0", configured=False)
    answer = ask(served, ["node1-gpu0"])
    assert "add its name and password there" in answer["msg"]
    assert "ci_server_workers" in answer["msg"]


@of("github")
def test_a_busy_runner_of_github_is_not_deleted(served):
    number = served[1].add("node1-gpu0", [], busy=True)
    answer = ask(served, [{"name": "node1-gpu0", "known": {"id": str(number)}}], state="absent")
    assert "currently running a job" in answer["msg"]


# What goes wrong.


def test_an_expired_token(served):
    answer = ask(served, ["a"], api_token="another:canary")
    assert answer["kind"] == "login"
    assert "The token expired, was revoked, or is another forge's" in answer["msg"]
    assert "ci_runner_api_token" in answer["msg"]
    assert "another:canary" not in str(answer)
    assert len(served[1].calls) == 1, "what does not help is not repeated"


def test_a_token_without_the_rights(served):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "status": 403}]
    answer = ask(served, ["a"])
    assert answer["kind"] == "rights"
    assert "403" in answer["msg"]
    assert "It needs" in answer["msg"]
    assert len(server.calls) == 1


@of(*CREATE)
def test_a_conflict(served):
    provider, server, _scope = served
    server.rules = [{"call": CREATE[provider], "status": 409, "body": '{"message": "already there"}'}]
    answer = ask(served, ["a"])
    assert "409 already there" in answer["msg"]
    assert CREATE[provider] in answer["msg"]


@of(*BY_API)
def test_the_second_of_two_fails_and_the_first_ones_token_is_not_lost(served):
    provider, server, _scope = served
    create = server.create

    def once(parts, query, body):
        server.rules = [{"call": CREATE[provider], "status": 403}]
        return create(parts, query, body)

    server.create = once
    answer = ask(served, ["a", "b"])
    assert answer["failed"]
    assert answer["tokens"]["a"]["token"]
    assert "b" not in answer["tokens"]


def test_asked_too_often_waits_as_long_as_it_is_told(served, quickly):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "status": 429, "times": 2, "headers": {"Retry-After": "1"}}]
    known = there(provider, server, "a")
    assert "failed" not in ask(served, [{"name": "a", "known": known, "registered": True}])
    assert quickly == [1.0, 1.0]


@of(*CREATE)
def test_a_creation_may_be_repeated_after_429(served):
    provider, server, _scope = served
    server.rules = [{"call": CREATE[provider], "status": 429, "times": 1, "headers": {"Retry-After": "0"}}]
    assert ask(served, ["a"])["tokens"]["a"]


def test_asked_too_often_for_too_long(served, quickly):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "status": 429, "headers": {"Retry-After": "3600"}}]
    answer = ask(served, ["a"])
    assert answer["kind"] == "limited"
    assert "as long as it asks (3600 s)" in answer["msg"]
    assert quickly == [], "an hour is not waited for"


def test_a_retry_after_as_a_date(served, quickly):
    provider, server, _scope = served
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    server.rules = [{"call": LIST[provider], "status": 429, "times": 1, "headers": {"Retry-After": soon}}]
    ask(served, [{"name": "a", "known": there(provider, server, "a"), "registered": True}])
    assert len(quickly) == 1
    assert 0 <= quickly[0] <= 2


@of("github")
def test_githubs_own_limit(served, quickly):
    reset = str(int(time.time()) + 1)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    served[1].rules = [{"status": 403, "times": 1, "headers": headers}]
    assert "failed" not in ask(served, ["a"])
    assert len(quickly) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_the_forges_own_trouble_is_tried_again(served, quickly, status):
    provider, server, _scope = served
    known = there(provider, server, "a")
    server.rules = [{"call": LIST[provider], "status": status, "times": 1}]
    assert "failed" not in ask(served, [{"name": "a", "known": known, "registered": True}])
    server.rules = [{"call": LIST[provider], "status": status}]
    server.calls.clear()
    answer = ask(served, ["a"], retries=2, patience=30)
    assert answer["kind"] == "broken"
    assert f"{status} rule {status}, 3 times" in answer["msg"]
    assert len(server.calls) == 3


@of(*CREATE)
def test_a_creation_is_not_repeated_when_it_may_have_been_done(served):
    provider, server, _scope = served
    server.rules = [{"call": CREATE[provider], "status": 500}]
    assert "500" in ask(served, ["a"])["msg"]
    assert server.calls.count(CREATE[provider]) == 1


@of("gitlab")
def test_slow_answers(served):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "delay": 1.5}]
    answer = ask(served, ["a"], timeout=1, retries=1)
    assert answer["kind"] == "unreachable"
    assert "no answer within 1 s, 2 times" in answer["msg"]


def test_nobody_answers(served):
    answer = ask(served, ["a"], url="http://127.0.0.1:9", retries=1)
    assert answer["kind"] == "unreachable"
    assert "2 times" in answer["msg"]
    assert "from the controller" in answer["msg"]


def test_a_page_in_place_of_json(served):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "status": 200, "body": "<html>Sign in</html>"}]
    answer = ask(served, ["a"])
    assert "its answer is a page and no JSON" in answer["msg"]
    assert "without a login page" in answer["msg"]


def test_a_redirect_is_not_followed_with_the_token(served):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "status": 302, "headers": {"Location": "https://elsewhere.example.com/"}}]
    answer = ask(served, ["a"])
    assert "it sends to https://elsewhere.example.com/" in answer["msg"]
    assert "a token is not sent on" in answer["msg"]


def test_a_scope_that_is_not_there(served):
    provider, server, _scope = served
    server.rules = [{"call": LIST[provider], "status": 404}]
    answer = ask(served, ["a"])
    assert answer["kind"] == "missing"
    assert "See ci_runner_scope" in answer["msg"]


def test_a_registration_token_in_place_of_an_access_token():
    answer = run(provider="gitlab", url="http://127.0.0.1:9", runners=[{"name": "a"}], api_token="GR1348941canary")
    assert "begins with glrt-" in answer["msg"]
    assert "GR1348941canary" not in answer["msg"]


def test_a_group_of_gitlab():
    with GitLab() as server:
        options = {"provider": "gitlab", "url": server.url, "scope": "group:42", "api_token": server.token}
        made = run(**options, runners=[{"name": "a", "labels": ["x"]}])["tokens"]["a"]
        assert server.runners[1]["runner_type"] == "group_type"
        assert not run(**options, runners=[{"name": "a", "labels": ["x"], "known": made}])["changed"]
        assert not server.violations

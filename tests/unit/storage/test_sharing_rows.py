"""What lies above the pools, as lines of the plan's table."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.storage import sharing

NOTHING = {
    "group": False, "directories": [], "quotas": [], "dropped": [], "thaw": [], "freeze": [], "written": True, "exported": [], "fstab": [],
}  # fmt: skip
GIVEN = {"group": "mlops", "gid": 7700}


def test_a_host_that_is_as_it_shall_be_has_no_lines():
    assert sharing.rows(NOTHING, GIVEN) == []
    # An export that is written already is none either.
    assert (
        sharing.rows({**NOTHING, "exported": [{"path": "/srv/a", "clients": ["c1"], "options": ["ro"]}]}, GIVEN) == []
    )


def test_every_difference_has_a_line():
    answer = {
        "group": True,
        "directories": [{"path": "/srv/a", "owner": "root", "group": "mlops", "mode": "2775"}],
        "quotas": [{"path": "/srv/a", "limit": 2**40}],
        "dropped": [{"path": "/srv/b"}],
        "thaw": ["/srv/c"],
        "freeze": ["/srv/d"],
        "written": False,
        "exported": [{"path": "/srv/a", "clients": ["10.0.0.0/24", "c1"], "options": ["rw", "sync"]}],
        "fstab": [{"path": "/srv/far", "source": "storage1:/srv/far", "options": "rw,hard"}],
    }
    assert sharing.rows(answer, GIVEN) == [
        ("group of users mlops", "number 7700", "nothing", "make"),
        ("directory /srv/a", "root:mlops 2775", "not so", "make"),
        ("quota /srv/a", "1 TiB", "not so", "set"),
        ("quota /srv/b", "none", "set", "drop"),
        ("files in /srv/c", "changeable", "not so", "set"),
        ("files in /srv/d", "immutable", "not so", "set"),
        ("export /srv/a", "10.0.0.0/24 c1: rw,sync", "not so", "export"),
        ("mount /srv/far", "storage1:/srv/far: rw,hard", "not so in fstab", "write"),
    ]


def test_exports_that_nobody_wants_any_more_are_withdrawn():
    assert sharing.rows({**NOTHING, "written": False}, GIVEN)[0][3] == "withdraw"

"""What is written for one host and for three, and what is refused before anything is."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase

import pytest

from .rendered import DATABASE, PEERS, render

BUCKETS = [{"name": "models"}, {"name": "data", "versioning": False}]
THREE = {"peers": PEERS, "database": DATABASE, "listen_address": PEERS[0]}
GOOD = {
    "one": {
        "buckets": BUCKETS,
        "users": [{"name": "mlflow", "write": ["models"], "read": ["data"]}, {"name": "nobody"}],
    },
    "three": {**THREE, "metrics_clients": ["10.9.0.0/16", "fd00::1"], "rack": "r1"},
    "second": {**THREE, "listen_address": PEERS[1]},
    "five": {**THREE, "peers": [*PEERS, "10.0.0.4", "10.0.0.5"], "listen_address": "10.0.0.5"},
    "six": {**THREE, "peers": ["fd00::1", "fd00::2", "fd00::3"], "listen_address": "fd00::2"},
    "open": {**THREE, "firewall": False},
}
BAD = {
    "two-hosts": ({**THREE, "peers": PEERS[:2]}, "neither may go on alone"),
    "not-among-them": (
        {**THREE, "listen_address": "10.0.0.9"},
        "is without this host's object_store_listen_address 10.0.0.9",
    ),
    "no-database": ({"peers": PEERS}, "object_store_peers needs object_store_database"),
    "no-password": ({**THREE, "database": {"host": "db"}}, "object_store_database is given without password"),
    "all-addresses": ({"listen_address": "0.0.0.0"}, "give the host's management address"),  # noqa: S104
    "copies": ({"replication": "001"}, "wants 2 hosts, and the store has 1"),
    "same-port": ({"port": 9333}, "must be different"),
    "bucket-name": ({"buckets": [{"name": "Models"}]}, "3 to 63 small letters"),
    "two-users": ({"users": [{"name": "a"}, {"name": "a"}]}, "different names and access keys"),
    "admins-key": ({"users": [{"name": "a", "access_key": "admin"}]}, "other than the role's own admin"),
    "unknown-bucket": ({"buckets": BUCKETS, "users": [{"name": "a", "read": ["nope"]}]}, "may read or write nope"),
    "no-url": ({"kind": "external", "external": {"bucket": "b"}}, "given without url, access_key, secret_key"),
    "no-ca": (
        {
            "kind": "external",
            "external": {"url": "https://a", "bucket": "b", "access_key": "c", "secret_key": "d", "ca": "/no"},
        },
        "'/no' is no file on the controller",
    ),
    "no-days": ({"buckets": [{"name": "abc", "expire": [{"prefix": "a", "days": 0}]}]}, "a list of {prefix, days}"),
    "remove": ({"remove_data": True}, "goes with object_store_state: absent only"),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return render(tmp_path_factory.mktemp("rendered"), {**GOOD, **{name: case for name, (case, text) in BAD.items()}})


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_is_refused(cases, name):
    message = " ".join(cases[name]["refused"].split())
    assert message.startswith(f"{name}: ") and BAD[name][1] in message and message.endswith("Nothing was changed.")


def file(case, name):
    return case["files"][f"/etc/seaweedfs/{name}"]


def test_one_host_talks_to_itself_only(cases):
    one = cases["one"]["arguments"]
    for service in ("master", "volume", "filer"):
        assert "-ip=127.0.0.1" in one[service] and "-ip.bind=127.0.0.1" in one[service]
    assert "-ip.bind=10.0.0.1" in one["s3"]
    assert "-peers=none" in one["master"] and "-defaultReplication=000" in one["master"]
    assert "[leveldb2]" in file(cases["one"], "filer.toml")


@pytest.mark.parametrize("name", list(GOOD))
def test_what_is_dangerous_by_default_is_off(cases, name):
    arguments = cases[name]["arguments"]
    assert {"-disableHttp", "-telemetry=false"} <= set(arguments["master"])
    assert {
        "-allowDeleteBucketNotEmpty=false",
        "-autoCreateBucket=false",
        "-iam=false",
        "-port.iceberg=0",
        "-port.lance=0",
    } <= set(arguments["s3"])
    for words in arguments.values():
        assert not [word for word in words if word.startswith(("-mdir=/tmp", "-dir=/tmp"))]
    assert any(word.startswith("-mdir=/var/lib/seaweedfs/") for word in arguments["master"])
    assert any(word.startswith("-dir=/var/lib/seaweedfs/") for word in arguments["volume"])


@pytest.mark.parametrize("name", ["one", "three"])
def test_every_port_of_the_cluster_asks_for_a_certificate_and_a_token(cases, name):
    text = file(cases[name], "security.toml")
    for section in ("grpc.master", "grpc.volume", "grpc.filer", "grpc.s3"):
        body = re.search(rf"(?ms)^\[{re.escape(section)}\]\n(.*?)(?=^\[|\Z)", text).group(1)
        assert 'allowed_commonNames = "object-store"' in body and "cert = " in body and "key = " in body, section
    for section in ("https.master", "https.volume", "https.filer", "https.client"):
        body = re.search(rf"(?ms)^\[{re.escape(section)}\]\n(.*?)(?=^\[|\Z)", text).group(1)
        assert "ca = " in body and "cert = " in body, section
    keys = re.findall(r'(?ms)^\[jwt\.[a-z_.]+\]\nkey = "([A-Za-z0-9]{48})"', text)
    assert len(set(keys)) == 4


def test_all_hosts_of_a_store_share_its_keys(cases):
    assert file(cases["three"], "security.toml") == file(cases["second"], "security.toml")
    assert file(cases["three"], "s3.json") == file(cases["second"], "s3.json")


@pytest.mark.parametrize("name", ["one", "three"])
def test_secrets_are_for_the_service_only(cases, name):
    modes = {
        path: mode
        for path, mode in cases[name]["modes"].items()
        if path.endswith(("security.toml", "filer.toml", "s3.json"))
    }
    assert set(modes.values()) == {"0640"} and len(modes) == 3
    for words in cases[name]["arguments"].values():
        assert not [word for word in words if "secret" in word.lower() or "password" in word.lower()]


def test_hosts_know_one_another(cases):
    for name, own in (("three", PEERS[0]), ("second", PEERS[1])):
        arguments = cases[name]["arguments"]
        masters = ",".join(f"{peer}:9333" for peer in PEERS)
        assert f"-peers={masters}" in arguments["master"] and f"-master={masters}" in arguments["volume"]
        # Its own filer first, and the others when that is down.
        filers = next(word for word in arguments["s3"] if word.startswith("-filer="))[7:].split(",")
        assert filers[0] == f"{own}:8888" and set(filers) == {f"{peer}:8888" for peer in PEERS}
    assert "-defaultReplication=001" in cases["three"]["arguments"]["master"]
    assert "-rack=r1" in cases["three"]["arguments"]["volume"]


def test_three_masters_are_enough(cases):
    masters = ",".join(f"{peer}:9333" for peer in PEERS)
    assert f"-master={masters}" in cases["five"]["arguments"]["volume"]


def test_addresses_of_the_sixth_version_are_bracketed(cases):
    assert "-master=[fd00::1]:9333,[fd00::2]:9333,[fd00::3]:9333" in cases["six"]["arguments"]["volume"]
    assert "ip6 saddr { fd00::1, fd00::2, fd00::3 }" in file(cases["six"], "firewall.nft")


def test_the_database_is_verified_and_its_password_quoted(cases):
    text = file(cases["three"], "filer.toml")
    # Once for the connection string, which weed only pastes it into, and once for TOML.
    password = json.loads(re.search(r"(?m)^password = (.*)$", text).group(1))
    assert password == r"""'with \'quotes\\"'"""
    assert 'sslmode = "verify-full"' in text and "sslrootcert = " in text


def test_the_firewall_lets_the_cluster_and_the_metrics_readers_in(cases):
    text = file(cases["three"], "firewall.nft")
    ports = "18333, 9333, 19333, 8080, 18080, 8888, 18888"
    assert f"ip saddr {{ {', '.join(PEERS)} }} tcp dport {{ {ports} }} accept" in text
    assert "ip saddr { 10.9.0.0/16 } tcp dport { 9324, 9325, 9326, 9327 } accept" in text
    assert "ip6 saddr { fd00::1 } tcp dport { 9324" in text
    assert f"tcp dport {{ {ports}, 9324, 9325, 9326, 9327 }} drop" in text
    assert " 8333" not in text.replace("18333", ""), "S3 itself is for everybody"


def test_the_firewall_closes_what_a_master_says_to_its_own_host(cases):
    rule = 'iifname "lo" ip daddr 127.0.0.0/8 tcp dport 9333 reject'
    text = file(cases["three"], "firewall.nft")
    assert text.index(rule) < text.index('iifname "lo" accept')
    assert rule not in file(cases["one"], "firewall.nft"), "the cluster of one host is there"


def test_the_firewall_can_be_off(cases):
    assert cases["open"]["files"]["/etc/seaweedfs/firewall.nft"] is None
    assert cases["open"]["files"]["/etc/systemd/system/mlops-onprem-object-store-firewall.service"] is None


def test_somebody_repairs(cases):
    for name in ("one", "three"):
        text = file(cases[name], "master.toml")
        assert "s3.lifecycle.run-shard -shards 0-15" in text and "-s3 10.0.0.1:18333" in text
        assert "s3.clean.uploads" in text and "sleep_minutes = 17" in text
    assert "volume.fix.replication -apply" in file(cases["three"], "master.toml")


def allows(config, user, action, resource):
    """As IAM decides: a denial beats all, and what nobody allows is refused."""
    names = next(one["policyNames"] for one in config["identities"] if one["name"] == user)
    found = False
    for policy in config["policies"]:
        for statement in json.loads(policy["content"])["Statement"] if policy["name"] in names else ():
            if any(fnmatchcase(action, one) for one in statement["Action"]) and any(
                fnmatchcase(f"arn:aws:s3:::{resource}", one) for one in statement["Resource"]
            ):
                if statement["Effect"] == "Deny":
                    return False
                found = True
    return found


def test_rights(cases):
    config = json.loads(file(cases["one"], "s3.json"))
    for action in ("GetObject", "PutObject", "DeleteObject"):
        assert allows(config, "mlflow", f"s3:{action}", "models/a/b"), action
    assert allows(config, "mlflow", "s3:GetObject", "data/a") and not allows(config, "mlflow", "s3:PutObject", "data/a")
    for action in ("DeleteObjectVersion", "PutObjectAcl", "BypassGovernanceRetention"):
        assert not allows(config, "mlflow", f"s3:{action}", "models/a"), action
    for action in (
        "PutBucketVersioning",
        "PutLifecycleConfiguration",
        "PutBucketPolicy",
        "PutBucketAcl",
        "DeleteBucket",
    ):
        assert not allows(config, "mlflow", f"s3:{action}", "models"), action
    assert allows(config, "mlops-onprem", "s3:PutBucketVersioning", "models")
    assert not allows(config, "mlops-onprem", "s3:DeleteBucket", "models")
    assert not allows(config, "nobody", "s3:ListBucket", "models")


def test_nobody_gets_rights_in_the_short_form(cases):
    """`actions` lets writers change versioning and lifecycle; an identity of all rights would stand there, too."""
    config = json.loads(file(cases["one"], "s3.json"))
    assert config["identities"] and not [one for one in config["identities"] if one.get("actions")]
    secrets = [one["credentials"][0]["secretKey"] for one in config["identities"]]
    assert len(set(secrets)) == len(secrets) and min(map(len, secrets)) >= 40

"""What is written for a folder and for a bucket, for one server and for several, with our proxy and without; and what is refused before."""

from __future__ import annotations

import json
import shlex

import pytest

from .rendered import DATABASE, READY, ROLE, render

S3 = {
    "bucket": "models",
    "endpoint": "https://s3.example.test:8333",
    "access_key": "mlflow",
    "secret_key": 'canary "of" \\ a $key',
}
SEVERAL = {"database": DATABASE, "server_name": "models.example.test"}


def servers(name, *others, **more):
    return {**SEVERAL, "servers": [*others, name], **more}


OLD = {"tracking": "b7e2c1a4d9f3", "auth": "f1a2b3c4d5e6", "begun": False}
NEW = {**READY, "begun": False}
GOOD = {
    "folder": {},
    "bucket": {"artifacts_s3": S3},
    "prefix": {"artifacts_s3": {**S3, "prefix": "prod/mlflow", "region": "eu-1", "ca": "/etc/hostname"}},
    "first": {**SEVERAL, "servers": ["first", "second"], "artifacts_s3": S3, "backup_repository": "/srv/backup"},
    "second": {**SEVERAL, "servers": ["first", "second"], "artifacts_s3": S3, "backup_repository": "/srv/backup"},
    "shared": servers("shared", "other", found={"filesystem": "nfs4"}),
    "no-proxy": {"proxy": "none"},
    "balanced": {"trusted_proxies": ["192.0.2.0/24", "fd00::1"]},
    "pools": {"database_pool_size": 10, "database_max_overflow": 5, "workers": 1, "found": {"database": NEW}},
    "moved": {
        "artifacts_s3": S3,
        "artifacts_moved": True,
        "found": {"destination": "/var/lib/mlflow/artifacts", "installed": "3.17.2", "database": NEW},
    },
    "joins": servers("joins", "first", upgrade=True, artifacts_s3=S3, found={"installed": "3.16.1", "database": NEW}),
    "leads": {
        **SEVERAL,
        **{"servers": ["leads", "other"], "upgrade": True, "artifacts_s3": S3},
        "found": {"installed": "3.16.1", "database": OLD},
    },
    "goes-on": {
        **SEVERAL,
        **{"servers": ["other", "goes-on"], "upgrade": True, "artifacts_s3": S3},
        "found": {
            "installed": "3.16.1",
            "database": NEW,
            "upgrade": {"state": "dumped", "from": "3.16.1", "to": "3.17.2"},
        },
    },
}
BAD = {
    "lacks": ({"artifacts_s3": {"bucket": "models"}}, "is given without endpoint, access_key, secret_key"),
    "plain": ({"artifacts_s3": {**S3, "endpoint": "http://s3.example.test"}}, "an endpoint such as https://"),
    "path": ({"artifacts_s3": {**S3, "endpoint": "https://s3.example.test/b"}}, "(TLS, no path)"),
    "slash": ({"artifacts_s3": {**S3, "prefix": "/prod"}}, "a prefix without a slash at either end"),
    "no-ca": ({"artifacts_s3": {**S3, "ca": "/nowhere/ca.pem"}}, "'/nowhere/ca.pem' is no file on the controller"),
    "stranger": ({**SEVERAL, "servers": ["a", "b"]}, "this host's among them"),
    "own-databases": (
        {"servers": ["own-databases", "b"], "server_name": "models.example.test"},
        "each with a database of its own: give model_registry_database",
    ),
    "own-name": (
        {**SEVERAL, "servers": ["own-name", "b"], "server_name": "own-name"},
        "give the name that clients use for all of them",
    ),
    "own-folder": (
        servers("own-folder", "other", found={"filesystem": "ext4"}),
        "is on a file system of this host alone (ext4), and the other servers (other) would not see its files",
    ),
    "no-overflow": ({"database_max_overflow": 0}, "are from 1 to 1000; found 5 and 0"),
    "other-proxy": ({"proxy": "apache"}, "model_registry_proxy is 'apache'; use nginx or none"),
    "everybody": ({"trusted_proxies": ["all"]}, "must be IP addresses and networks; found all"),
    "pool": (
        {"database": DATABASE, "database_pool_size": 20},
        "allows 97 connections to 'mlflow' (max_connections 100, 3 of them reserved), and the registry may open 137: "
        "1 server(s) x (2 worker(s) x 3 stores x (20 + 2) + 5 of its own). Raise max_connections",
    ),
    "three": (
        {**SEVERAL, "servers": ["three", "b", "c"], "artifacts_s3": S3},
        "and the registry may open 141: 3 server(s) x",
    ),
    # PostgreSQL is not there yet: it will allow what it allows by default.
    "own-pool": (
        {"database_pool_size": 20, "found": {"database": {"error": "no such file", "connections": 0, "limit": ""}}},
        "allows 97 connections",
    ),
    "elsewhere": (
        {"artifacts_s3": S3, "found": {"destination": "/var/lib/mlflow/artifacts", "database": NEW}},
        "the artifacts are in /var/lib/mlflow/artifacts, and would be looked for in s3://models",
    ),
    "unplanned": (
        servers("unplanned", "first", artifacts_s3=S3, found={"installed": "3.16.1", "database": NEW}),
        "The change would migrate the database",
    ),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return render(tmp_path_factory.mktemp("rendered"), {**GOOD, **{name: case for name, (case, text) in BAD.items()}})


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_is_refused(cases, name):
    assert "refused" in cases[name], name
    message = " ".join(cases[name]["refused"].split())
    assert message.startswith(f"{name}: ") and BAD[name][1] in message, message
    assert "Nothing was changed" in message


@pytest.mark.parametrize("name", GOOD)
def test_what_can_work_is_not(cases, name):
    assert "refused" not in cases[name], cases[name]


def environment(case):
    """As systemd reads it, which quotes as a shell does here."""
    lines = case["files"]["/etc/mlflow/mlflow.env"].splitlines()
    return dict(word.split("=", 1) for line in lines if line[0] != "#" for word in shlex.split(line))


def test_a_folder_needs_no_key(cases):
    found = environment(cases["folder"])
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "/var/lib/mlflow/artifacts"
    assert not [name for name in found if name.startswith(("AWS_", "MLFLOW_S3"))]
    assert "/var/lib/mlflow/artifacts" in cases["folder"]["directories"]


def test_a_bucket_and_its_key_are_in_the_closed_file_only(cases):
    case = cases["bucket"]
    found = environment(case)
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://models"
    assert found["MLFLOW_S3_ENDPOINT_URL"] == "https://s3.example.test:8333"
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("mlflow", S3["secret_key"])
    # What the role tries is what boto does.
    assert found["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"] == "path"
    assert found["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"
    # Large files pass through it.
    assert found["TMPDIR"] == "/var/lib/mlflow/tmp"
    assert case["modes"]["/etc/mlflow/mlflow.env"] == "0600"
    assert [path for path, text in case["files"].items() if "canary" in text] == ["/etc/mlflow/mlflow.env"]
    assert "/var/lib/mlflow/artifacts" not in case["directories"]


def test_the_ca_of_the_bucket(cases):
    assert environment(cases["bucket"])["AWS_CA_BUNDLE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert "/etc/mlflow/s3-ca.pem" in cases["bucket"]["unwanted"]
    found = environment(cases["prefix"])
    assert found["AWS_CA_BUNDLE"] == "/etc/mlflow/s3-ca.pem" and "/etc/mlflow/s3-ca.pem" in cases["prefix"]["files"]
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://models/prod/mlflow" and found["AWS_DEFAULT_REGION"] == "eu-1"


def test_of_several_servers_the_first_looks_after_what_they_share(cases):
    first, second = cases["first"], cases["second"]
    timer = "/etc/systemd/system/mlops-onprem-mlflow-backup.timer"
    assert timer in first["files"] and timer in second["unwanted"] and timer not in second["files"]
    assert (first["housekeeping"]["shared"], second["housekeeping"]["shared"]) == (True, False)
    for case in (first, second):
        assert case["housekeeping"]["folders"] == {"temporary": "/var/lib/mlflow/tmp"}
    assert cases["shared"]["housekeeping"]["folders"] == {"temporary": "/var/lib/mlflow/tmp"}
    assert "artifacts" in cases["folder"]["housekeeping"]["folders"]
    assert first["backup"]["artifacts_dir"] == "s3://models"


def test_several_servers_have_one_configuration(cases):
    for path in ("/etc/mlflow/mlflow.env", "/etc/mlflow/basic_auth.ini"):
        assert cases["first"]["files"][path] == cases["second"]["files"][path]
    # The next one is only restarted when this one serves again.
    assert cases["first"]["options"]["ExecStartPost"].endswith("http://127.0.0.1:5000/health")
    assert "ExecStartPost" not in cases["folder"]["options"]


def test_pools(cases):
    found = environment(cases["pools"])
    assert found["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == "10" and found["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"] == "5"
    assert int(cases["pools"]["connections"]) == 1 * 3 * 15 + 5
    # What is the default fits into what PostgreSQL allows by default, twice.
    assert int(cases["first"]["connections"]) == 2 * (2 * 3 * 7 + 5) <= 97


def test_without_our_proxy_nothing_of_it_is_there(cases):
    case = cases["no-proxy"]
    assert not {"nginx", "logrotate", "libnginx-mod-http-lua"} & set(case["packages"])
    assert not [path for path in case["files"] if "nginx" in path or "logrotate" in path]
    assert not [path for path in case["directories"] if path.startswith("/var/log")]
    assert "/etc/nginx/conf.d/mlops-onprem-model-registry.conf" in case["unwanted"]
    assert environment(case)["MLFLOW_HOST"] == "127.0.0.1"


def site(case):
    return case["files"]["/etc/nginx/conf.d/mlops-onprem-model-registry.conf"]


def test_readiness_asks_the_database_with_the_login_of_nobody(cases):
    body = site(cases["first"]).split("location = /ready {")[1].split("\n    }")[0]
    assert 'Authorization "Basic LTot"' in body and "experiments/search" in body
    assert "error_page 401 =200" in body and " 500 502 503 504 =503" in body


def test_load_balancers_are_believed_when_they_are_named(cases):
    assert "set_real_ip_from 192.0.2.0/24;" in site(cases["balanced"])
    assert "set_real_ip_from fd00::1;" in site(cases["balanced"])
    assert "real_ip" not in site(cases["folder"])


@pytest.mark.parametrize(
    ("name", "change"), [("folder", ""), ("joins", "join"), ("leads", "upgrade"), ("goes-on", "upgrade")]
)
def test_one_server_upgrades_and_the_others_join(cases, name, change):
    assert cases[name]["change"] == change


def test_the_configuration_of_backups_is_json(cases):
    text = cases["first"]["files"]["/etc/mlflow/backup.json"]
    assert json.loads(text)["artifacts_environment"]["AWS_SECRET_ACCESS_KEY"] == S3["secret_key"]
    assert cases["first"]["modes"]["/etc/mlflow/backup.json"] == "0600"


@pytest.mark.parametrize("lock", sorted(path.name for path in ROLE.glob("files/requirements-*.txt")))
def test_every_version_can_speak_with_a_bucket(lock):
    assert "\nboto3==" in (ROLE / "files" / lock).read_text()

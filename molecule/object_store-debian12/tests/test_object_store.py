"""One host, seen from outside: the real ports, what a stranger can do, what users may do, and what happens when things break.

The order matters: tests that stop or damage something come last, and put it right again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from client import PORT, Store, ports, s3, shell, stranger

SCENARIO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SCENARIO.parents[1] / "tests/lab"))

from counting import executions  # noqa: E402

CONVERGE = SCENARIO / "converge.yml"
SERVICES = ("master", "volume", "filer", "s3")
TLS = "/etc/mlops-onprem/tls"
SECRETS = SCENARIO / ".mlops/secrets"


@pytest.fixture(scope="module")
def address(host):
    return shell(host, "hostname -I").split()[0]


@pytest.fixture(scope="module")
def keys(host):
    config = json.loads(shell(host, "cat /etc/seaweedfs/s3.json"))
    return {
        one["name"]: (one["credentials"][0]["accessKey"], one["credentials"][0]["secretKey"])
        for one in config["identities"]
    }


@pytest.fixture(scope="module")
def store(host, address, keys):
    ca = shell(host, f"cat {TLS}/object_store/ca.pem")
    return {name: Store(address, ca, *key) for name, key in keys.items()}


@pytest.fixture(scope="module")
def admin(store):
    return store["mlops-onprem"]


@pytest.fixture(scope="module")
def canary(admin):
    """An object that everybody is after; and the question whether it is still whole."""
    body = os.urandom(100_000)
    admin.ask("PUT", "models", "canary", body)

    def whole():
        return admin.ask("GET", "models", "canary")[1] == body

    assert whole()
    return whole


@pytest.fixture(scope="module")
def foreign(host):
    """A certificate of the same CA for something else, as the site CA issues them to every other service."""
    folder = "/root/foreign"
    key, request = f"{folder}/key.pem", f"{folder}/request.pem"
    shell(
        host,
        f"mkdir -p {folder} && openssl ecparam -name prime256v1 -genkey -noout -out {key} && "
        f"openssl req -new -key {key} -subj /CN=registry -out {request}",
    )
    work = SCENARIO / ".mlops/foreign"
    work.mkdir(exist_ok=True)
    (work / "request.pem").write_text(shell(host, f"cat {request}") + "\n")
    (work / "extensions").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", "request.pem", "-CA", SECRETS / "ca/ca.pem", "-CAkey", SECRETS / "ca/ca.key"]
        + ["-set_serial", "4711", "-days", "1", "-extfile", "extensions", "-out", "cert.pem"],
        cwd=work,
        check=True,
        capture_output=True,
    )
    shell(host, f"cat > {folder}/cert.pem <<'END'\n{(work / 'cert.pem').read_text()}END")
    yield folder
    shell(host, f"rm -rf {folder}")
    shutil.rmtree(work)


def play(host, *more, callback="default"):
    """The role again, from the controller, with other input."""
    command = ["ansible-playbook", "-i", host.backend.ansible_runner.inventory_file, CONVERGE, *more]
    environment = {
        **os.environ,
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": callback,
    }
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=environment, check=False
    )
    if callback != "default":
        return result.returncode, result.stdout
    # Long messages are wrapped; the tests look for phrases.
    return result.returncode, " ".join((result.stdout + result.stderr).replace("''", "'").split())


def weed_shell(host, command, folder="/etc/seaweedfs"):
    return shell(
        host,
        f"cd {folder} && echo '{command}' | HOME=/nonexistent timeout 10 /opt/seaweedfs/current/bin/weed shell "
        "-master=127.0.0.1:9333 2>&1",
        code=None,
    )


def invocations(host):
    return shell(
        host, "systemctl show --property=InvocationID --value " + " ".join(f"seaweedfs-{one}" for one in SERVICES)
    )


def test_only_s3_is_beyond_this_host(host, address):
    outside = {one for one in ports(host) if not one[0].startswith("127.") and one[0] != "::1"}
    assert outside == {(address, PORT), (address, PORT + 10000)}


def test_a_stranger_can_do_nothing_on_any_port(host, canary):
    metrics = {9324, 9325, 9326, 9327}
    found = stranger(host, ports(host))
    # Metrics are numbers; they have no other page of these.
    assert {port for port, *rest in found} <= metrics | {PORT}
    # S3 says that it is there.
    assert {(method, path) for port, method, path, status in found if port == PORT} == {("GET", "/status")}
    assert not [one for one in found if one[0] in metrics]
    assert canary()


def test_a_certificate_of_another_service_opens_nothing(host, canary, foreign):
    found = stranger(host, ports(host), foreign)
    # Who leads, and which disks there are: nothing of the data, and nothing is done.
    seen = {(9333, "/"), (9333, "/cluster/status"), (9333, "/ui/index.html"), (8080, "/status"), (PORT, "/status")}
    assert {(port, path) for port, method, path, status in found} <= seen, found
    shell(
        host,
        f"mkdir -p /run/as-foreign && sed 's,{TLS}/object_store_cluster/\\(cert\\|key\\),{foreign}/\\1,' "
        "/etc/seaweedfs/security.toml > /run/as-foreign/security.toml",
    )
    assert "volume Id" in weed_shell(host, "volume.list")
    assert "volume Id" not in weed_shell(host, "volume.list", "/run/as-foreign")
    assert canary()


def test_s3_wants_a_known_key(address, store, keys):
    stranger = Store(address, "", "nobody", "x" * 40)
    stranger.context = store["mlflow"].context
    assert stranger.code("GET", "models", "canary") == "InvalidAccessKeyId"
    stranger.access = keys["mlflow"][0]
    assert stranger.code("GET", "models", "canary") == "SignatureDoesNotMatch"


def test_old_tls_is_refused(address):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection((address, PORT)) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain)


def test_users_do_what_they_may_and_nothing_else(store, admin, canary):
    writer, reader = store["mlflow"], store["reader"]
    for user in (writer, reader):
        assert user.ask("GET", "models", "canary")[1]
        assert b"canary" in user.ask("GET", "models", **{"list-type": "2"})[1]
        assert user.code("GET", "scratch", "x") == user.code("GET", "scratch") == "AccessDenied"
        for query in ("versioning", "lifecycle", "policy", "acl", "cors", "tagging"):
            assert user.code("PUT", "models", body=b"<x/>", **{query: ""}) == "AccessDenied", query
        assert user.code("DELETE", "models", lifecycle="") == "AccessDenied"
        assert user.code("DELETE", "models") == user.code("PUT", "made") == "AccessDenied"
    assert reader.code("PUT", "models", "mine", b"1") == reader.code("DELETE", "models", "canary") == "AccessDenied"
    version = writer.ask("PUT", "models", "mine", b"1")[0].headers["x-amz-version-id"]
    assert writer.code("DELETE", "models", "mine") == ""
    assert writer.code("GET", "models", "mine") == "NoSuchKey"
    # What was deleted or overwritten is still there, and stays.
    assert writer.code("DELETE", "models", "mine", versionId=version) == "AccessDenied"
    assert writer.ask("GET", "models", "mine", versionId=version)[1] == b"1"
    assert canary()


def test_nobody_can_delete_a_bucket_not_even_the_role(admin, canary):
    for bucket in ("models", "scratch"):
        assert admin.code("DELETE", bucket) == "AccessDenied"
    assert admin.code("PUT", "never-listed", "x", b"1") == "NoSuchBucket"
    assert canary()


def test_buckets_are_as_listed(admin):
    assert s3.versioning_of(admin, "models") and not s3.versioning_of(admin, "scratch")
    assert s3.lifecycle_of(admin, "models") == {("tmp/", "expire", 7), ("", "old", 30)}
    assert s3.lifecycle_of(admin, "scratch") == set()


def test_large_objects_in_parts(store):
    """As clients upload models: parts of 8 MiB, put together by the store."""
    user, parts = store["mlflow"], [os.urandom(8 << 20), os.urandom(8 << 20), b"end"]
    upload = s3.plain_tags(user.ask("POST", "models", "large", uploads="")[1]).findtext("UploadId")
    tags = [
        user.ask("PUT", "models", "large", part, partNumber=number, uploadId=upload)[0].headers["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    done = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in enumerate(tags, 1))
    user.ask(
        "POST",
        "models",
        "large",
        f"<CompleteMultipartUpload>{done}</CompleteMultipartUpload>".encode(),
        uploadId=upload,
    )
    assert user.ask("GET", "models", "large")[1] == b"".join(parts)


def test_files_are_as_closed_as_they_should_be(host):
    found = shell(
        host,
        "stat --format='%a %U:%G %n' /etc/seaweedfs/security.toml /etc/seaweedfs/s3.json /etc/seaweedfs/filer.toml /var/lib/seaweedfs "
        f"/var/lib/seaweedfs/volumes {TLS}/object_store_cluster/key.pem {TLS}/object_store/key.pem",
    ).splitlines()
    assert found == [
        "640 root:seaweedfs /etc/seaweedfs/security.toml",
        "640 root:seaweedfs /etc/seaweedfs/s3.json",
        "640 root:seaweedfs /etc/seaweedfs/filer.toml",
        "750 root:seaweedfs /var/lib/seaweedfs",
        "750 seaweedfs:seaweedfs /var/lib/seaweedfs/volumes",
        f"640 root:seaweedfs {TLS}/object_store_cluster/key.pem",
        f"640 root:seaweedfs {TLS}/object_store/key.pem",
    ]


def test_secrets_are_seen_nowhere(host, keys):
    tokens = re.findall(r'key = "([A-Za-z0-9]{48})"', shell(host, "cat /etc/seaweedfs/security.toml"))
    values = [secret for access, secret in keys.values()] + tokens
    assert len(set(values)) == 7
    seen = shell(
        host,
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; systemctl cat 'seaweedfs-*'; journalctl --no-pager; "
        "for port in 9324 9325 9326 9327; do "
        "python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:$port/metrics').read().decode())\"; done",
    )
    assert "weed" in seen and "SeaweedFS_" in seen
    assert not [value for value in values if value in seen]


@pytest.mark.parametrize("service", SERVICES)
def test_the_units_are_hardened(host, service):
    assert shell(host, f"ps -o user= -p $(systemctl show -p MainPID --value seaweedfs-{service})") == "seaweedfs"
    line = shell(host, f"systemd-analyze security --no-pager seaweedfs-{service}.service | tail -1")
    assert float(line.split(":")[1].split()[0]) <= 3.0, line


def test_the_firewall_is_loaded_and_comes_back(host):
    assert "dport { 8080, 8888, 9324" in " ".join(shell(host, "nft list table inet mlops_object_store").split())
    shell(host, "nft flush ruleset && systemctl restart mlops-onprem-object-store-firewall")
    assert "drop" in shell(host, "nft list table inet mlops_object_store")


def test_rules_of_the_lifecycle_are_applied(host, admin):
    """By the master's own scripts, which run each minute here. A date in the past saves a day of waiting."""
    admin.ask("PUT", "scratch", "old/x", b"1")
    admin.ask("PUT", "scratch", "new/x", b"1")
    rule = "<Rule><ID>x</ID><Status>Enabled</Status><Filter><Prefix>old/</Prefix></Filter><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration></Rule>"
    admin.ask("PUT", "scratch", body=f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>".encode(), lifecycle="")
    deadline = time.monotonic() + 100
    while admin.code("GET", "scratch", "old/x") != "NoSuchKey":
        assert time.monotonic() < deadline, shell(host, "journalctl -u seaweedfs-master --no-pager -n 40")
        time.sleep(2)
    assert admin.ask("GET", "scratch", "new/x")[1] == b"1"
    admin.ask("DELETE", "scratch", lifecycle="")


def test_data_survives_a_kill_of_everything(host, admin, canary):
    before = invocations(host)
    shell(host, "systemctl kill --signal=KILL 'seaweedfs-*'")
    deadline = time.monotonic() + 60
    while admin.code("GET", "models", "canary") != "" if reachable(admin) else True:
        assert time.monotonic() < deadline, "the store did not come back"
        time.sleep(1)
    assert not set(before.split()) & set(invocations(host).split())
    assert canary()


def reachable(client):
    try:
        client.ask("GET")
    except s3.Refused as error:
        return not error.transient
    return True


def test_another_list_of_files_is_refused(host):
    before = invocations(host)
    code, text = play(
        host, "-e", '{"object_store_database": {"host": "127.0.0.1", "password": "canary-of-the-test", "port": 1}}'
    )
    assert code != 0
    assert "keeps its list of files on this host" in text and "Nothing was changed" in text
    assert "canary-of-the-test" not in text
    assert invocations(host) == before


def test_a_run_that_changes_nothing_costs_little_and_restarts_nothing(host):
    before = invocations(host)
    code, text = play(host, callback="ansible.posix.json")
    assert code == 0, text[-2000:]
    # 13 on the host, and 3 looks at secrets and the site CA on the controller.
    assert executions(text) == {"object-store-debian12": 16}
    assert invocations(host) == before


def test_a_secret_that_others_can_read_is_refused(host, tmp_path):
    secret = tmp_path / "object_store_admin"
    secret.write_text("a long enough secret key\n")
    secret.chmod(0o644)
    code, text = play(host, "-e", f"object_store_secrets_dir={tmp_path}")
    assert code != 0
    assert f"chmod 600 {secret}" in text and "a long enough secret key" not in text


@pytest.fixture(scope="module")
def external(address, keys):
    """The store as if it were somebody else's."""

    def ask(host, **more):
        given = {
            "url": f"https://{address}:{PORT}",
            "bucket": "models",
            "access_key": keys["mlflow"][0],
            "secret_key": keys["mlflow"][1],
            "ca": str(SECRETS / "ca/ca.pem"),
            **more,
        }
        return play(host, "-e", json.dumps({"object_store_kind": "external", "object_store_external": given}))

    return ask


def test_a_given_s3_is_tried(host, external, admin):
    code, text = external(host)
    assert code == 0, text[-2000:]
    assert "changed=0" in text
    assert b"<Key>.mlops-onprem" not in admin.ask("GET", "models", **{"list-type": "2"})[1]


def test_a_given_s3_with_an_untrusted_ca_is_refused_at_once(host, external):
    begin = time.monotonic()
    code, text = external(host, ca="")
    assert code != 0
    assert "its certificate is not accepted" in text and "object_store_external.ca" in text
    # Clients retry this for nine minutes.
    assert time.monotonic() - begin < 60


def test_a_given_bucket_without_versions_is_refused(host, external, keys):
    code, text = external(
        host, bucket="scratch", access_key=keys["mlops-onprem"][0], secret_key=keys["mlops-onprem"][1]
    )
    assert code != 0
    assert "the bucket scratch keeps no old versions" in text
    assert keys["mlops-onprem"][1] not in text


def test_a_removal_keeps_the_data(host, admin, canary):
    # The installed package is moved aside, or the way back would be an installation.
    shell(host, "mv /opt/seaweedfs /opt/aside")
    try:
        code, text = play(host, "-e", "object_store_state=absent")
        assert code == 0, text[-2000:]
        left = shell(
            host, f"ls -d /etc/seaweedfs /etc/systemd/system/*seaweedfs* /etc/systemd/system/mlops* {TLS}/*", code=None
        )
        assert left == ""
        assert str(PORT) not in shell(host, "ss -Hltn")
        assert "mlops_object_store" not in shell(host, "nft list tables")
    finally:
        shell(host, "rm -rf /opt/seaweedfs; mv /opt/aside /opt/seaweedfs")
        code, text = play(host)
    assert code == 0, text[-2000:]
    assert canary()

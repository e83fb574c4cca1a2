"""Ask an S3 service, with nothing but the standard library. Reads JSON, writes JSON: {did: [...], warnings: [...], error: "...", code: "..."}.

Makes `buckets` and sets their versioning and lifecycle where these differ; with `verify`, puts, gets and deletes a small object below
`prefix` in `bucket`. Tries again what may pass (no answer, 5xx) until `timeout` seconds are over, and nothing else.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import sys
import time
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class Refused(Exception):
    """What the service says, or what is wrong with the way to it. `code` is S3's word, "" where S3 was not reached."""

    def __init__(self, text, code="", transient=False):
        super().__init__(text)
        self.code, self.transient = code, transient


class Client:
    """Signature version 4, bucket in the path."""

    def __init__(self, wanted):
        url = urlsplit(wanted["url"])
        self.url, self.name, self.plain = wanted["url"], url.hostname, url.scheme == "http"
        self.port = url.port or (80 if self.plain else 443)
        # Where to connect: the host's own DNS need not know the name yet.
        self.address = wanted.get("address") or url.hostname
        self.access, self.secret = wanted["access_key"], wanted["secret_key"]
        self.region = wanted.get("region") or "us-east-1"
        self.timeout = wanted.get("request_timeout", 15)
        if not self.plain:
            self.context = ssl.create_default_context(cafile=wanted.get("ca_file"), cadata=wanted.get("ca") or None)

    def connect(self):
        try:
            plain = socket.create_connection((self.address, self.port), timeout=self.timeout)
        except socket.gaierror as error:
            raise Refused(f"the name {self.address} has no address ({error.strerror})", transient=True) from error
        except OSError as error:
            raise Refused(f"{self.address}:{self.port} cannot be reached: {error}", transient=True) from error
        connection = http.client.HTTPConnection(self.address, self.port, timeout=self.timeout)
        connection.sock = plain
        if not self.plain:
            try:
                connection.sock = self.context.wrap_socket(plain, server_hostname=self.name)
            except ssl.SSLCertVerificationError as error:
                raise Refused(f"its certificate is not accepted: {error.verify_message}", code="certificate") from error
            except OSError as error:
                raise Refused(f"no TLS on {self.address}:{self.port}: {error}", transient=True) from error
        return connection

    def headers(self, method, path, query, body):
        now = datetime.datetime.now(datetime.timezone.utc)
        moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        standard = 80 if self.plain else 443
        digest = hashlib.sha256(body).hexdigest()
        name = f"[{self.name}]" if ":" in self.name else self.name
        signed = {
            "host": name if self.port == standard else f"{name}:{self.port}",
            "x-amz-content-sha256": digest,
            "x-amz-date": moment,
        }
        if body:
            signed["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        signed = dict(sorted(signed.items()))
        names = ";".join(signed)
        lines = "".join(f"{key}:{value}\n" for key, value in signed.items())
        request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in (day, self.region, "s3", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signed["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        )
        return signed

    def ask(self, method, bucket="", key="", body=b"", **query):
        path = "/" + quote(f"{bucket}/{key}" if key else bucket, safe="/-_.~")
        text = "&".join(f"{name}={quote(str(value), safe='-_.~')}" for name, value in sorted(query.items()))
        connection = self.connect()
        try:
            connection.request(method, f"{path}?{text}" if text else path, body, self.headers(method, path, text, body))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"it does not answer: {type(error).__name__} {error}", transient=True) from error
        finally:
            connection.close()
        if answer.status >= 300:
            found = re.search(r"<Code>([^<]*)</Code>", content.decode(errors="replace"))
            code = found.group(1) if found else str(answer.status)
            message = re.search(r"<Message>([^<]*)</Message>", content.decode(errors="replace"))
            raise Refused(
                f"{method} {path} was answered with {answer.status} {code}{': ' + message.group(1) if message else ''}",
                code=code,
                transient=answer.status >= 500,
            )
        return answer, content


def plain_tags(content):
    """The XML of an answer without name spaces: services differ in them."""
    root = ElementTree.fromstring(content)  # noqa: S314 (from the service that we hold the key of)
    for element in root.iter():
        element.tag = element.tag.split("}")[-1]
    return root


def versioning_of(client, bucket):
    return plain_tags(client.ask("GET", bucket, versioning="")[1]).findtext("Status") == "Enabled"


def lifecycle_of(client, bucket):
    """The rules as a set of (prefix, kind, days); None for a document that we would not have written."""
    try:
        root = plain_tags(client.ask("GET", bucket, lifecycle="")[1])
    except Refused as error:
        if error.code == "NoSuchLifecycleConfiguration":
            return set()
        raise
    rules = set()
    for rule in root.iter("Rule"):
        prefix = rule.findtext("Filter/Prefix") or rule.findtext("Prefix") or ""
        expire, old = rule.findtext("Expiration/Days"), rule.findtext("NoncurrentVersionExpiration/NoncurrentDays")
        if rule.findtext("Status") != "Enabled" or bool(expire) == bool(old):
            return None
        rules.add((prefix, "expire" if expire else "old", int(expire or old)))
    return rules


def rules_of(bucket):
    rules = {(rule["prefix"], "expire", int(rule["days"])) for rule in bucket.get("expire") or []}
    days = int(bucket.get("keep_old_versions_days", 30))
    if bucket.get("versioning", True) and days:
        rules.add(("", "old", days))
    return rules


def lifecycle_text(rules):
    text = ""
    for number, (prefix, kind, days) in enumerate(sorted(rules)):
        action = (
            f"<Expiration><Days>{days}</Days></Expiration>"
            if kind == "expire"
            else f"<NoncurrentVersionExpiration><NoncurrentDays>{days}</NoncurrentDays></NoncurrentVersionExpiration>"
        )
        text += (
            f"<Rule><ID>mlops-onprem-{number}</ID><Status>Enabled</Status>"
            f"<Filter><Prefix>{escape(prefix)}</Prefix></Filter>{action}</Rule>"
        )
    return f"<LifecycleConfiguration>{text}</LifecycleConfiguration>".encode()


def provide_bucket(client, bucket, check, did):
    """Make one bucket what it shall be; what differed is added to `did` as it is done."""
    name = bucket["name"]
    try:
        client.ask("HEAD", name)
    except Refused as error:
        if error.code != "404":
            raise
        if not check:
            client.ask("PUT", name)
        did.append(f"{name}: made")
        if check:
            return
    versioning = bucket.get("versioning", True)
    if versioning_of(client, name) != versioning:
        if not check:
            status = "Enabled" if versioning else "Suspended"
            text = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
            client.ask("PUT", name, body=text.encode(), versioning="")
        did.append(f"{name}: versioning {'on' if versioning else 'off'}")
    rules = rules_of(bucket)
    if lifecycle_of(client, name) != rules:
        if rules and not check:
            client.ask("PUT", name, body=lifecycle_text(rules), lifecycle="")
        elif not check:
            client.ask("DELETE", name, lifecycle="")
        did.append(f"{name}: lifecycle {sorted(rules)}")


def round_trip(client, bucket, prefix):
    """Put, get and delete an object of ours. Its version goes too, where the key may do that."""
    key = f"{prefix + '/' if prefix else ''}.mlops-onprem/{socket.gethostname()}-{os.urandom(4).hex()}"
    body = os.urandom(4096)
    version = client.ask("PUT", bucket, key, body)[0].headers.get("x-amz-version-id")
    try:
        if client.ask("GET", bucket, key)[1] != body:
            raise Refused(f"what was read from {bucket}/{key} is not what was written")
    finally:
        try:
            client.ask("DELETE", bucket, key, **({"versionId": version} if version and version != "null" else {}))
        except Refused as error:
            if not version or error.code != "AccessDenied":
                raise
            client.ask("DELETE", bucket, key)


def unversioned(client, bucket):
    """What is wrong with the bucket's versioning; "" where old versions are kept."""
    try:
        return "" if versioning_of(client, bucket) else f"the bucket {bucket} keeps no old versions"
    except Refused as error:
        if error.code not in ("AccessDenied", "403"):
            raise
        return f"this key may not ask whether the bucket {bucket} keeps old versions (s3:GetBucketVersioning)"


def verify(client, wanted):
    """What is not safe, as sentences. Raises Refused where the bucket cannot be used."""
    # Without a bucket, the login is what can be asked.
    if not wanted["bucket"]:
        client.ask("GET")
        return []
    if wanted["check"]:
        client.ask("HEAD", wanted["bucket"])
    else:
        round_trip(client, wanted["bucket"], wanted.get("prefix", ""))
    problem = unversioned(client, wanted["bucket"]) if wanted["versioning"] in ("require", "warn") else ""
    if problem and wanted["versioning"] == "require":
        raise Refused(problem, code="unversioned")
    return [problem] if problem else []


def main():
    wanted = json.load(sys.stdin)
    deadline = time.monotonic() + wanted["timeout"]
    did = []
    while True:
        answer = {"did": did, "warnings": [], "error": "", "code": ""}
        try:
            client = Client(wanted)
            for bucket in wanted["buckets"]:
                provide_bucket(client, bucket, wanted["check"], did)
            if wanted["verify"]:
                answer["warnings"] = verify(client, wanted)
            break
        except Refused as error:
            answer.update(error=str(error), code=error.code)
            if not error.transient or time.monotonic() > deadline:
                break
        except OSError as error:
            answer.update(error=f"the given CA cannot be read: {error}", code="ca")
            break
        time.sleep(1)
    json.dump(answer, sys.stdout)


main()

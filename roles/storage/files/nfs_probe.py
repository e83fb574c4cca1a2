"""Say how the running NFS server differs from what is wanted. Reads JSON, writes JSON, changes nothing.

The kernel itself is asked, in /proc/fs/nfsd (nfsd(7)) and at its port: what a file says is no proof that it is in force.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

ETAB = "/var/lib/nfs/etab"
NFSD = Path("/proc/fs/nfsd")
SECONDS = 5
# RFC 5531: call, RPC version 2, program 100003 (NFS), procedure 0 (NULL), no credentials, no verifier.
CALL = ">10I"
TRANSACTION = 0x6D6C6F70


def text(path):
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def changed(path):
    """When a file was written, in nanoseconds since 1970; 0 for a file that is not there."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def answers(address, version):
    """Whether NFS of this version answers at port 2049; a sentence for why not."""
    body = struct.pack(CALL, TRANSACTION, 0, 2, 100003, version, 0, 0, 0, 0, 0)
    try:
        with socket.create_connection((address, 2049), timeout=SECONDS) as connection:
            connection.sendall(struct.pack(">I", 0x80000000 | len(body)) + body)
            data = b""
            while len(data) < 28:
                part = connection.recv(1024)
                if not part:
                    return "it closes the connection"
                data += part
    except OSError as error:
        return f"it does not answer ({error})"
    _mark, number, kind, status, _flavor, _length, accepted = struct.unpack_from(">7I", data)
    if (number, kind) != (TRANSACTION, 1) or status != 0:
        return "it refuses the call"
    return "" if accepted == 0 else "it does not know this version"


def wanted_versions(wanted):
    return {"3": "3" in wanted["versions"], "4.0": False, "4.1": False, "4.2": "4.2" in wanted["versions"]}


def running_versions():
    """Which versions are on: `-3 +4 -4.0 -4.1 +4.2`. What a kernel does not name, it does not have."""
    found = dict.fromkeys(("3", "4.0", "4.1", "4.2"), False)
    for sign, version in re.findall(r"([+-])([\d.]+)", text(NFSD / "versions")):
        if version in found:
            found[version] = sign == "+"
    return found


def listeners():
    """Addresses that something listens on at port 2049, as the kernel's tables have them."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in text(f"/proc/net/{name}").splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if int(port, 16) == 2049 and fields[3] == "0A":
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                found.add(str(ipaddress.ip_address(b"".join(words))))
    return found


def exported():
    """path -> client -> options, as the server was told last."""
    found = {}
    for line in text(ETAB).splitlines():
        path, _tab, rest = line.partition("\t")
        match = re.fullmatch(r"(.*)\((.*)\)", rest.strip())
        if match:
            found.setdefault(path, {})[match.group(1)] = set(match.group(2).split(","))
    return found


def names(client):
    """How exportfs may write a client down: as it is given, or by the name that DNS has for it."""
    yield client
    try:
        yield from (row[3] for row in socket.getaddrinfo(client, None, flags=socket.AI_CANONNAME) if row[3])
    except (OSError, UnicodeError):
        return


def restart_reasons(wanted):
    show = [
        "systemctl",
        "show",
        "--timestamp=unix",
        "--property=ActiveState,UnitFileState,ActiveEnterTimestamp",
        "nfs-server.service",
    ]
    state = subprocess.run(show, stdout=subprocess.PIPE, text=True, check=False).stdout
    if "ActiveState=active" not in state:
        return ["it does not run"]
    reasons = [] if "UnitFileState=enabled" in state else ["it does not start at boot"]
    # Its helpers read the file too, and nothing else tells what they read.
    started = re.search(r"ActiveEnterTimestamp=@(\d+)", state)
    if started and changed(wanted["configuration"]) // 10**9 > int(started.group(1)):
        reasons.append("its settings are newer than its start")
    running, right = running_versions(), wanted_versions(wanted)
    for version in right:
        if running[version] != right[version]:
            reasons.append(f"version {version} is {'on' if running[version] else 'off'}")
    threads = text(NFSD / "threads").strip()
    if threads != str(wanted["threads"]):
        reasons.append(f"it has {threads or 'no'} threads, not {wanted['threads']}")
    addresses = {str(ipaddress.ip_address(address)) for address in wanted["addresses"]}
    if listeners() != addresses:
        reasons.append(
            f"it listens on {', '.join(sorted(listeners())) or 'nothing'}, not on {', '.join(sorted(addresses))}"
        )
    has_rdma = "rdma " in text(NFSD / "portlist")
    if has_rdma != wanted["rdma"]:
        reasons.append(f"RDMA is {'on' if has_rdma else 'off'}")
    return reasons


def export_reasons(wanted):
    reasons = []
    if changed(wanted["file"]) > changed(ETAB):
        reasons.append("the exports are newer than what the server was told")
    there = exported()
    for export in wanted["exports"]:
        for client in export["clients"]:
            found = there.get(export["path"], {})
            options = next((found[name] for name in names(client) if name in found), None)
            if options is None:
                reasons.append(f"{export['path']} is not exported to {client}")
            elif not {option for option in export["options"] if option in ("ro", "rw")} <= options:
                reasons.append(f"{export['path']} is exported to {client} with other rights")
    return reasons


def main():
    wanted = json.load(sys.stdin)
    silent = []
    for address in wanted["addresses"]:
        for version in sorted(float(version) for version in wanted["versions"]):
            reason = answers(address, int(version))
            if reason:
                silent.append(f"NFS {int(version)} at {address}:2049: {reason}")
    json.dump({"restart": restart_reasons(wanted), "export": export_reasons(wanted), "silent": silent}, sys.stdout)


main()

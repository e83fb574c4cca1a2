# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of repositories: the fingerprint of an OpenPGP key, without gpg, which a plain host does not have.

RFC 4880 and RFC 9580: a fingerprint of version 4 is the SHA-1 of 0x99, two octets of length, and the public-key packet;
of version 6, the SHA-256 of 0x9b, four octets of length, and the packet.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

KEY_LIMIT_BYTES = 1024 * 1024
PUBLIC_KEY = 6
_ARMOUR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----",
    re.S,
)


class NoKey(ValueError):
    """What was got is no OpenPGP key; says why."""


def dearmour(data: bytes) -> bytes:
    """The bytes of a key, with or without ASCII armour. Raises NoKey."""
    blocks = _ARMOUR.findall(data)
    if not blocks:
        return data
    packets = b""
    for block in blocks:
        # A line that begins with = is the checksum of the armour.
        lines = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(b"=")]
        try:
            packets += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as error:
            raise NoKey(f"its armour is broken: {error}") from error
    return packets


def _packet(data: bytes, place: int) -> tuple[int, int, int]:
    """(tag, begin, end) of the packet at `place`."""
    head = data[place]
    if not head & 0x80:
        raise NoKey("it is no OpenPGP data")
    if head & 0x40:
        first = data[place + 1]
        if first < 192:
            return head & 0x3F, place + 2, place + 2 + first
        if first < 224:
            size = ((first - 192) << 8) + data[place + 2] + 192
            return head & 0x3F, place + 3, place + 3 + size
        if first == 255:
            return head & 0x3F, place + 6, place + 6 + int.from_bytes(data[place + 2 : place + 6], "big")
        raise NoKey("it has a packet in parts")
    octets = {0: 1, 1: 2, 2: 4}.get(head & 3)
    if octets is None:
        raise NoKey("it has a packet without a length")
    begin = place + 1 + octets
    return (head >> 2) & 0x0F, begin, begin + int.from_bytes(data[place + 1 : begin], "big")


def fingerprints(data: bytes) -> list[str]:
    """The fingerprints of all primary keys in `data`, in capital letters. Raises NoKey."""
    packets = dearmour(data)
    found, place = [], 0
    try:
        while place < len(packets):
            tag, begin, end = _packet(packets, place)
            if end > len(packets):
                raise NoKey("it ends too early")
            if tag == PUBLIC_KEY:
                found.append(_fingerprint(packets[begin:end]))
            place = end
    except IndexError as error:
        raise NoKey("it ends too early") from error
    if not found:
        raise NoKey("there is no public key in it")
    return found


def _fingerprint(body: bytes) -> str:
    if body[0] == 4:
        head = b"\x99" + len(body).to_bytes(2, "big")
        # The format's own choice; what is compared is the whole of it with one that a person was given.
        return hashlib.new("sha1", head + body, usedforsecurity=False).hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise NoKey(f"its version {body[0]} is not known")


def plain(fingerprint: str) -> str:
    """A fingerprint as people write it, without spaces, in capital letters."""
    return re.sub(r"\s|:", "", fingerprint).upper()


def wrong(data: bytes, fingerprint: str) -> str | None:
    """Why `data` is not the key of this fingerprint, and only that; None where it is."""
    try:
        found = fingerprints(data)
    except NoKey as error:
        return str(error)
    if found != [plain(fingerprint)]:
        return f"its fingerprint is {' and '.join(found)}"
    return None

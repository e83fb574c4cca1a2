"""Fingerprints without gpg. The key was made for this test, and signs nothing."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_keys import (
    NoKey,
    dearmour,
    fingerprints,
    plain,
    wrong,
)

KEY = b"""-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawwRsRYJKwYBBAHaRw8BAQdAqx82eHHqN/eONG6gnGrKpMFUI8fxKaI9zAmQ
3Zy8bMS0KVN0YW5kLWluIG9mIGEgdmVuZG9yIDxub2JvZHlAZXhhbXBsZS5jb20+
iJAEExYIADgWIQTinZ2FvVyPurpSnr7JRc6ke83vWQUCawwRsQIbAwULCQgHAgYV
CgkICwIEFgIDAQIeAQIXgAAKCRDJRc6ke83vWVNrAPwK7yPQ4OdgfocgZQGDBjpA
fogT41+Cyf+muMK2giNNNAD/VL7PWv3lJ3DuD7rksq0xMCZJVfrrr9v1ULH0zppO
zwY=
=4cLN
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT = "E29D9D85BD5C8FBABA529EBEC945CEA47BCDEF59"


def packet(tag: int, body: bytes) -> bytes:
    """A packet with a length of one, two or five octets, as RFC 9580 writes them."""
    size = len(body)
    if size < 192:
        length = bytes([size])
    elif size < 8384:
        length = bytes([((size - 192) >> 8) + 192, (size - 192) & 0xFF])
    else:
        length = b"\xff" + size.to_bytes(4, "big")
    return bytes([0xC0 | tag]) + length + body


def test_with_and_without_armour():
    assert fingerprints(KEY) == [FINGERPRINT]
    assert fingerprints(dearmour(KEY)) == [FINGERPRINT]
    assert fingerprints(KEY.replace(b"\n", b"\r\n")) == [FINGERPRINT]
    commented = KEY.replace(b"BLOCK-----\n\n", b"BLOCK-----\nComment: for a test\n\n")
    assert fingerprints(commented) == [FINGERPRINT]


def test_two_keys_are_never_one():
    assert fingerprints(KEY + KEY) == [FINGERPRINT, FINGERPRINT]
    assert wrong(KEY, FINGERPRINT) is None
    assert "and" in str(wrong(KEY + KEY, FINGERPRINT))


def test_a_fingerprint_as_people_write_it():
    assert plain("e29d 9d85 bd5c 8fba ba52  9ebe c945 cea4 7bcd ef59") == FINGERPRINT
    assert wrong(KEY, "e29d 9d85 bd5c 8fba ba52  9ebe c945 cea4 7bcd ef59") is None
    assert wrong(KEY, "0" * 40) == f"its fingerprint is {FINGERPRINT}"


@pytest.mark.parametrize("size", [3, 300, 9000])
def test_packets_of_all_lengths(size):
    body = b"\x04" + bytes(size)
    old = b"\x9a" + len(body).to_bytes(4, "big") + body
    assert fingerprints(packet(13, b"name") + packet(6, body)) == fingerprints(old)


def test_a_key_of_version_6_has_a_longer_fingerprint():
    assert len(fingerprints(packet(6, b"\x06" + bytes(40)))[0]) == 64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404</html>",
        b"\xc6",
        b"\xc6\x05\x04",
        b"\xc6\xe1\x04",
        b"\x9b\x04",
        packet(6, b"\x03abc"),
        packet(13, b"name"),
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n%%%\n-----END PGP PUBLIC KEY BLOCK-----\n",
    ],
)
def test_what_is_no_key(data):
    with pytest.raises(NoKey):
        fingerprints(data)
    assert wrong(data, FINGERPRINT)


def test_a_cut_off_key_is_none():
    raw = dearmour(KEY)
    for size in range(1, 40):
        with pytest.raises(NoKey):
            fingerprints(raw[:size])
    assert base64.b64encode(raw)

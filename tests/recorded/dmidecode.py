"""Turns the text of dmidecode back into the firmware's table, as far as it describes caches and memory."""

from __future__ import annotations

import re

# SMBIOS 3.6: 7.8.2 (caches), 7.17.2 and 7.17.3 (arrays).
CORRECTION = {"Other": 1, "Unknown": 2, "None": 3, "Parity": 4, "Single-bit ECC": 5, "Multi-bit ECC": 6, "CRC": 7}
USE = {"Other": 1, "Unknown": 2, "System Memory": 3, "Video Memory": 4, "Flash Memory": 5}
UNITS_MIB = {"MB": 1, "GB": 1024, "TB": 1024 * 1024}


def structure(kind: int, handle: int, body: bytes) -> bytes:
    return bytes([kind, len(body) + 4]) + handle.to_bytes(2, "little") + body + b"\0\0"


def device(array: int, size: str) -> bytes:
    """The body of a memory device; all its other fields are zero."""
    match = re.fullmatch(r"(\d+) (MB|GB|TB)", size)
    mib = int(match.group(1)) * UNITS_MIB[match.group(2)] if match else 0
    short = 0xFFFF if size == "Unknown" else mib if mib < 0x7FFF else 0x7FFF
    extended = mib if short == 0x7FFF else 0
    head = array.to_bytes(2, "little") + b"\0" * 6
    return head + short.to_bytes(2, "little") + b"\0" * 14 + extended.to_bytes(4, "little") + b"\0" * 8


def table(text: str) -> bytes:
    """The table; caches are in it because theirs is an error correction that says nothing of the memory's."""
    made = b""
    for handle, kind, block in re.findall(r"Handle 0x([0-9A-F]+), DMI type (\d+), .*?\n(.*?)(?=\n\n|\Z)", text, re.S):
        fields = dict(re.findall(r"^\t([\w ]+): (.*?)\s*$", block, re.M))
        number = int(handle, 16)
        if kind == "7":
            correction = CORRECTION.get(fields.get("Error Correction Type", ""), 2)
            made += structure(7, number, b"\0" * 12 + bytes([correction, 0, 0]))
        elif kind == "16":
            made += structure(
                16, number, bytes([3, USE[fields["Use"]], CORRECTION[fields["Error Correction Type"]]]) + b"\0" * 8
            )
        elif kind == "17":
            made += structure(17, number, device(int(fields["Array Handle"], 16), fields["Size"]))
    return made + structure(127, 0xFEFF, b"")

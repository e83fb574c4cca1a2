# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading of small files below one root directory, safely.

A recorded tree may come from anywhere, so nothing in it is trusted: a link never leads out of the root (an absolute
target starts again at the root, as in a chroot), only regular files are opened, and every read has a size limit.
Nothing here raises for what it finds on disk: what cannot be read is None, and `reason` tells why.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB

SMALL_FILE_BYTES = 64 * KIB
MAX_NAMES = 65536
# The kernel's own limit for one path.
MAX_LINKS = 40
MAX_PATH = 4096

_REASONS = {
    errno.ENOENT: "not there",
    errno.ENOTDIR: "not there",
    errno.EACCES: "permission denied: needs root",
    errno.EPERM: "permission denied: needs root",
    errno.ELOOP: "its links form a loop",
    errno.EINVAL: "the kernel gives no value",
    errno.EOPNOTSUPP: "the kernel gives no value",
    errno.ENODATA: "the kernel gives no value",
    errno.ENAMETOOLONG: "its name is too long",
}


class Broken(Exception):
    """What a vendor's tool wrote, or should have written, cannot be used; says why."""


class _Refused(OSError):
    """A path that is left alone on purpose; carries the reason."""


class Tree:
    """The files of one machine, below `root`: `/` for the running one, a directory for a recorded one.

    Paths are absolute as on that machine (`/sys/class/net`). `notes` collects (fact, path, reason) for facts that
    could not be read for a reason which the file alone does not tell; `incomplete` (path, reason) by the list that may
    lack an entry, so that nobody takes it for a short one.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self.live = self.root == "/"
        self.notes: dict[str, tuple[str, str]] = {}
        self.incomplete: dict[str, tuple[str, str]] = {}
        self._errors: dict[str, str] = {}
        self._directories: dict[str, str] = {"/": "/"}

    def note(self, fact: str, path: str, reason: str) -> None:
        """Say why `fact` (dotted, as in the facts) is None."""
        self.notes.setdefault(fact, (path, reason))

    def reason(self, path: str) -> str:
        """Why the last read of `path` gave nothing."""
        return self._errors.get(path, "not there")

    def resolve(self, path: str) -> str | None:
        """The path without links, inside the root; None when there is nothing at its end.

        The last part may be of any kind. On the running machine this is the kernel's own answer.
        """
        try:
            return self._resolve(path)
        except (OSError, ValueError) as error:
            self._failed(path, error)
            return None

    def data(self, path: str, limit: int = SMALL_FILE_BYTES) -> bytes | None:
        """At most the first `limit` bytes of a regular file."""
        try:
            return self._read(path, limit)
        except (OSError, ValueError) as error:
            self._failed(path, error)
            return None

    def text(self, path: str, limit: int = SMALL_FILE_BYTES) -> str | None:
        """Like `data`, as text without outer white space; an empty file is None. Bad UTF-8 becomes U+FFFD."""
        data = self.data(path, limit)
        if data is None:
            return None
        text = data.decode("utf-8", "replace").replace("\0", " ").strip()
        if not text:
            self._errors[path] = "empty"
            return None
        return text

    def integer(self, path: str, base: int = 10) -> int | None:
        """One whole number of at most 32 digits; None for anything else."""
        text = self.text(path, 64)
        if text is None:
            return None
        try:
            return int(text[:34], base)
        except ValueError:
            self._errors[path] = "not a number"
            return None

    def names(self, path: str) -> list[str]:
        """The sorted names in a directory (at most MAX_NAMES); empty when it cannot be listed."""
        try:
            place = path if self.live else self.root + self._resolve(path)
            names = []
            with os.scandir(place) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if len(names) >= MAX_NAMES:
                        break
        except (OSError, ValueError) as error:
            self._failed(path, error)
            return []
        if not names:
            self._errors[path] = "empty"
        return sorted(names)

    def exists(self, path: str) -> bool:
        """Whether something is at `path`, of whatever kind."""
        if self.live:
            try:
                return Path(path).exists()
            except OSError:
                return False
        return self.resolve(path) is not None

    def link_name(self, path: str) -> str | None:
        """The last part of a link's target, as for `device/driver`; None when it is no link."""
        try:
            if self.live:
                target = str(Path(path).readlink())
            else:
                head, tail = path.rsplit("/", 1)
                directory = self._directory(head or "/")
                target = str(Path(_under(self.root + directory, tail)).readlink())
        except (OSError, ValueError) as error:
            self._failed(path, error)
            return None
        return target.rstrip("/").rsplit("/", 1)[-1] or None

    def _failed(self, path: str, error: Exception) -> None:
        if isinstance(error, _Refused):
            self._errors[path] = str(error)
        elif isinstance(error, OSError):
            self._errors[path] = _REASONS.get(error.errno or 0, error.strerror or "cannot be read")
        else:
            self._errors[path] = "its name is not valid"

    def _read(self, path: str, limit: int) -> bytes:
        place = path
        if not self.live:
            place = self.root + self._resolve(path)
            if not stat.S_ISREG(os.lstat(place).st_mode):
                raise _Refused("not a regular file")
        # Without O_NONBLOCK a named pipe would wait for its writer for ever.
        handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if self.live else os.O_NOFOLLOW))
        try:
            data = os.read(handle, limit)
            # A sysfs attribute comes in one piece shorter than a page; only longer files need a second look.
            if len(data) < KIB or len(data) >= limit:
                return data
            parts = [data]
            size = len(data)
            while size < limit:
                data = os.read(handle, limit - size)
                if not data:
                    break
                parts.append(data)
                size += len(data)
            return b"".join(parts)
        finally:
            os.close(handle)

    def _directory(self, path: str) -> str:
        known = self._directories.get(path)
        if known is None:
            known = self._walk(path)
            self._directories[path] = known
        return known

    def _resolve(self, path: str) -> str:
        if self.live:
            return os.path.realpath(path, strict=True) if _STRICT else str(Path(path).resolve(strict=True))
        return self._walk(path)

    def _walk(self, path: str) -> str:
        """Follow `path` part by part below the root, taking each link as relative to the root."""
        if len(path) > MAX_PATH:
            raise OSError(errno.ENAMETOOLONG, "")
        head, _slash, tail = path.rstrip("/").rpartition("/")
        if tail in ("", ".", ".."):
            done, todo = "/", [part for part in reversed(path.split("/")) if part]
        else:
            done, todo = self._directory(head or "/"), [tail]
        links = 0
        while todo:
            part = todo.pop()
            if part == ".":
                continue
            if part == "..":
                done = done.rpartition("/")[0] or "/"
                continue
            here = _under(done, part)
            place = self.root + here
            if stat.S_ISLNK(os.lstat(place).st_mode):
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, "")
                target = str(Path(place).readlink())
                if target.startswith("/"):
                    done = "/"
                todo.extend(part for part in reversed(target.split("/")) if part)
                if len(todo) > MAX_PATH:
                    raise OSError(errno.ENAMETOOLONG, "")
            else:
                done = here
        return done


def _under(directory: str, name: str) -> str:
    return directory + name if directory.endswith("/") else directory + "/" + name


# Python 3.9 has no strict realpath.
_STRICT = "strict" in os.path.realpath.__code__.co_varnames

"""Set or clear the immutable flag of all files and directories below one directory, and of that directory last.

Called with `set` or `clear` and the path. The directory's own flag tells afterwards that all of it was done: an interrupted run
is taken up again. Links are never followed, other file systems never entered. Says how many files changed, in one line.
"""

from __future__ import annotations

import array
import fcntl
import os
import stat
import sys
from pathlib import Path

# linux/fs.h, for x86-64 and 64-bit Arm.
FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_IMMUTABLE_FL = 0x10
REPORTED = 5


class Tree:
    def __init__(self, wanted):
        self.wanted = wanted
        self.changed = 0
        self.failed = []
        self.failures = 0

    def set(self, handle, path):
        value = array.array("l", [0])
        try:
            fcntl.ioctl(handle, FS_IOC_GETFLAGS, value, True)
            flags = value[0] | FS_IMMUTABLE_FL if self.wanted else value[0] & ~FS_IMMUTABLE_FL
            if flags != value[0]:
                value[0] = flags
                fcntl.ioctl(handle, FS_IOC_SETFLAGS, value)
                self.changed += 1
        except OSError as error:
            self.fail(path, error)

    def fail(self, path, error):
        self.failures += 1
        if len(self.failed) < REPORTED:
            self.failed.append(f"{path!r}: {error.strerror}")

    def walk(self, top):
        device = Path(top).lstat().st_dev
        # fwalk opens each directory without following links, whatever others rename meanwhile.
        for folder, directories, files, handle in os.fwalk(
            top, topdown=True, follow_symlinks=False, onerror=lambda error: self.fail(error.filename, error)
        ):
            if os.fstat(handle).st_dev != device:
                directories[:] = []
                continue
            for name in files:
                self.file(folder, name, handle)
            if folder != top:
                self.set(handle, folder)

    def file(self, folder, name, handle):
        path = f"{folder}/{name}"
        try:
            # Asked before it is opened: opening a device or a pipe can have effects.
            if not stat.S_ISREG(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                return
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
        except FileNotFoundError:
            return
        except OSError as error:
            self.fail(path, error)
            return
        try:
            self.set(file, path)
        finally:
            os.close(file)


def main():
    word, top = sys.argv[1:]
    tree = Tree(word == "set")
    tree.walk(top)
    if not tree.failures:
        handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        tree.set(handle, top)
        os.close(handle)
    if tree.failures:
        sys.exit(f"{tree.failures} of the files below {top} could not be changed: {'; '.join(tree.failed)}")
    print(tree.changed)


main()

"""What an SSH key of the CI's Git host may do: fetch from some repositories and push to some, and nothing else.

serve.py WHO        with the command that the client asked for in SSH_ORIGINAL_COMMAND
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

ACCESS = Path("/etc/mlops-onprem/ci-git/access.json")
# By what a client runs, which right that needs.
RIGHTS = {"git-upload-pack": ("read", "write"), "git-upload-archive": ("read", "write"), "git-receive-pack": ("write",)}
COMMAND = re.compile(r"(git-[a-z-]+) '?/?([A-Za-z0-9_-]+)(?:\.git)?/?'?")


def refuse(text):
    print(f"CI: {text}", file=sys.stderr)
    sys.exit(1)


def main():
    access = json.loads(ACCESS.read_text())
    who = access["who"].get(sys.argv[1], {})
    asked = COMMAND.fullmatch(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    if not asked or asked[1] not in RIGHTS:
        refuse("this account is for Git only")
    program, name = asked.groups()
    allowed = {one for right in RIGHTS[program] for one in who.get(right, [])}
    repository = Path(access["dir"]) / f"{name}.git"
    # Somebody without rights is not told which repositories there are.
    if not {name, "*"} & allowed or not repository.is_dir():
        refuse(
            f"there is no repository {name} that this key may {'push to' if program == 'git-receive-pack' else 'read'}"
        )
    os.execvp("git", ["git", program[len("git-") :], str(repository)])


main()

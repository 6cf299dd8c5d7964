"""Git references: a branch or tag in the config is a full commit in the lock."""

from __future__ import annotations

import re

from pyrunenv import process
from pyrunenv.errors import ProcessFailed, ResolverFailed

_GIT = re.compile(
    r"^(?P<before>.*?git\+)(?P<url>[^@#\s]+(?:@[^@#/\s]+(?=[/:][^@#\s]*))?[^@#\s]*)(?:@(?P<ref>[^#\s]+))?(?P<rest>.*)$"
)
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def pin_commit(requirement: str) -> str:
    """Return a git requirement with the 40 digits of the commit that its reference names now.

    Any other requirement comes back as it is. Raises ResolverFailed where the repository does not tell.
    """
    parts = _GIT.match(requirement)
    if parts is None or _COMMIT.match(parts["ref"] or ""):
        return requirement
    reference = parts["ref"] or "HEAD"
    try:
        listed = process.run(["git", "ls-remote", parts["url"], reference, f"refs/tags/{reference}^{{}}"]).stdout
    except ProcessFailed as error:
        raise ResolverFailed(
            f"cannot find the commit of `{requirement}`", notes=error.notes, hint="name the full commit in the config"
        ) from error
    commits = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for name in (f"refs/tags/{reference}^{{}}", f"refs/heads/{reference}", f"refs/tags/{reference}", reference):
        if name in commits:
            return f"{parts['before']}{parts['url']}@{commits[name]}{parts['rest']}"
    raise ResolverFailed(
        f"`{requirement}` names a commit that `{parts['url']}` does not list",
        hint="use a branch, a tag, or the full 40 digits of a commit",
    )

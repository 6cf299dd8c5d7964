"""Applies patches to a source tree, by ``git apply``: unified diffs, as diff and git write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from pyrunenv import process
from pyrunenv.errors import ProcessFailed, SourceError

_PREFIXED = re.compile(rb"^(--- a|\+\+\+ b)/", re.MULTILINE)


def apply_patches(tree: Path, patches: Iterable[Path]) -> None:
    """Apply patch files in their order; raises SourceError.

    A hunk may have moved to other lines. One that is there already does not apply.
    """
    # A repository around the tree would be taken for the one that is patched.
    variables = {**os.environ, "GIT_CEILING_DIRECTORIES": os.fspath(tree.parent), "LC_ALL": "C"}
    for path in patches:
        refusals: list[str] = []
        # How many leading folders the names have that the tree does not: git's and diff -ru's one, or none.
        for leading in ("1",) if _PREFIXED.search(path.read_bytes()) else ("1", "0"):
            words = ["git", "apply", f"-p{leading}", "--unidiff-zero", "--whitespace=nowarn", str(path.resolve())]
            try:
                done = process.run(words, env=variables, cwd=tree, check=False)
            except ProcessFailed as error:
                raise SourceError("patches are applied by git", notes=[error.message], hint="install git") from error
            if not done.status:
                break
            refusals += done.stderr.strip().replace("error: ", "").splitlines()
        else:
            raise SourceError(
                f"the patch {path} does not apply",
                notes=[f"to the source of {tree.name}: {line}" for line in dict.fromkeys(refusals)],
                hint="make it anew from this version of the source",
            )

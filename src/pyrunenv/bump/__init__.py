"""New versions: what changed since the published one, how much that raises the version, and the files that tell it."""

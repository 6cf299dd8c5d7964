"""The workspace's configuration: what its files say, merged, checked and given out one target at a time."""

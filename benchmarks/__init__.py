"""What pyrunenv costs, as ratios against a peer of the same run."""

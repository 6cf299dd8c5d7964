"""Reading wheels."""

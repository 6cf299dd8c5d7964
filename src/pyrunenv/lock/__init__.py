"""From roots to a lock; the only part that calls the resolver."""

"""Puts bundles together, looks at them, packs them and says what is in them."""

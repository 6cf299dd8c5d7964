"""Portable, locked, offline Python run environments for five platforms, from one host."""

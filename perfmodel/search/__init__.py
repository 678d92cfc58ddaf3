"""Decisions: every plan of a deployment evaluated at once, and the one that an objective prefers."""

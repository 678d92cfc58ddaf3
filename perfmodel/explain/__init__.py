"""How numbers come about: closed forms of times and counts in chosen symbols, and their steps in words."""

from perfmodel.explain.language import METRICS, SYMBOLS, Explanation, explain

__all__ = ["METRICS", "SYMBOLS", "Explanation", "explain"]

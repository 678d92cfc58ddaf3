"""Published results derived again: what a paper states, what we assume, and what our formulas make of both.

A reproduction is a file of ``workloads/reproductions/``. Its ``parts`` are answers of the package (an estimate, a
kernel, a simulation ...), its ``results`` are expressions of them beside the published figures.
"""

from perfmodel.reproductions.compute import Outcome, reproduce
from perfmodel.reproductions.load import Reproduction, list_reproductions, load_reproduction

__all__ = ["Outcome", "Reproduction", "list_reproductions", "load_reproduction", "reproduce"]

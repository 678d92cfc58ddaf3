"""Spreadsheet in, spreadsheet out: every row answered, or refused with its reason, in bounded memory."""

from perfmodel.tables.kernels import run_kernels
from perfmodel.tables.scenarios import run_scenarios
from perfmodel.tables.stream import Summary

__all__ = ["Summary", "run_kernels", "run_scenarios"]

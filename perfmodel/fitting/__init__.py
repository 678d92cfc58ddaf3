"""Fits the closed forms of :mod:`perfmodel.cost` on measured kernels and writes ``hardware_specs/calibration/``."""

"""Calibrated closed forms of GPU kernels: one file per operator class."""

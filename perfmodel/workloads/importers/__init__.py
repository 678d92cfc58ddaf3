"""Importers: model files of other tools to workloads."""

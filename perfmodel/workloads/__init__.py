"""Workloads: what has to be computed. Models by name or path, their parameters, and imports from other formats."""

from __future__ import annotations

from perfmodel.workloads.library import check_model, import_model, list_models, load_model
from perfmodel.workloads.spec import LanguageModel

__all__ = ["LanguageModel", "check_model", "import_model", "list_models", "load_model"]

"""Language models and networks under one space of names: which of the two a name is, and either of them loaded."""

from __future__ import annotations

from pathlib import Path

from perfmodel.errors import UnknownNameError
from perfmodel.specs.locate import is_path, named_spec
from perfmodel.workloads.library import KIND, list_models
from perfmodel.workloads.library import load_model as load_language_model
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.library import list_networks
from perfmodel.workloads.networks.what_if import find_network, is_network
from perfmodel.workloads.spec import LanguageModel

LANGUAGE, NETWORK = "language", "network"
"""The kinds of workloads: language models, and all other networks."""


def kind_of(name: str) -> str:
    """Return which kind a name or path is of; a language model of the library wins over a network of its name.

    A file that cannot be told is taken for a language model's, whose loader says what is wrong with it.
    Errors: :class:`UnknownNameError` with the nearest names of both kinds.
    """
    if name.endswith((".json", ".gguf", ".onnx", ".yaml", ".yml")) or is_path(name):
        return NETWORK if is_network(name) else LANGUAGE
    if name.strip() and "\0" not in name:
        if named_spec(KIND, name, "workload"):
            return LANGUAGE
        if is_network(name):
            return NETWORK
        if _exists(name):
            return LANGUAGE
    every = (*list_models(), *list_networks())
    raise UnknownNameError("model", name.replace("\0", "?"), every, "`perfmodel model list` shows all")


def load_model(name_or_path: str | Path) -> LanguageModel | AnyNetwork:
    """Return a language model or a network by its name, alias or path.

    Errors: those of :func:`perfmodel.workloads.library.load_model` and of
    :func:`perfmodel.workloads.networks.library.load_network`.
    """
    name = str(name_or_path)
    return find_network(name) if kind_of(name) == NETWORK else load_language_model(name)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:
        return False

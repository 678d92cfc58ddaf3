"""What a command may be told of a language model, and what of a network: the options of the one are not the other's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer

from perfmodel.errors import InputError

_DP = "replicas share the batch: --dp N"
_PHASE = "a network has one pass: leave it out"
_SIZE = "a network's samples have a size instead: --image N or --set model.FIELD=VALUE"
LANGUAGE_ONLY: Mapping[str, str] = {
    **dict.fromkeys(("input_tokens", "output_tokens", "usecase"), _SIZE),
    **dict.fromkeys(
        ("tp", "ep", "moe_tp", "attention_dp", "pp", "cp", "microbatches", "sequence_parallel", "redundant_experts",
         "cp_mode", "overlap", "mode"), _DP,
    ),
    **dict.fromkeys(("draft_tokens", "acceptance", "routing", "logits", "no_causal"), "leave it out"),
    **dict.fromkeys(("phase", "static"), _PHASE),
    "moe_precision": "precisions of single layers: --layers PATTERN=PRECISION",
    "kv": "a network keeps no cache; activations have the precision of their layer: --precision",
}  # fmt: skip
"""Parameters of commands that only language models have, with what to use for a network."""

NETWORK_ONLY: Mapping[str, str] = {
    "image": "its inputs are tokens: --input N",
    "fusion": "--engine says how a language model is run",
    "layers": "--precision, --moe-precision and --kv say what its layers run in",
    "sparsity": "another dtype is --precision NAME",
}
"""Parameters of commands that only networks have, with what to use for a language model."""

_POOLS = ("prefill", "decode")


def is_network(context: typer.Context, name: str) -> bool:
    """Say whether a command's model is a network.

    Errors: :class:`UnknownNameError`; :class:`InputError` for options that were given and that its kind does not have.
    """
    found = of_one_kind([name])
    check_options(context, name, network=found)
    return found


def of_one_kind(names: Iterable[str]) -> bool:
    """Say whether all of the names are networks. Errors: :class:`InputError` if they are of both kinds."""
    from perfmodel.workloads.kinds import NETWORK, kind_of

    kinds = {name: kind_of(name) for name in names}
    if len(set(kinds.values())) > 1:
        some = [next(n for n, k in kinds.items() if k == kind) for kind in dict.fromkeys(kinds.values())]
        raise InputError(f"{some[0]} is a {kinds[some[0]]}{_model(kinds[some[0]])} and {some[1]} a "
                         f"{kinds[some[1]]}{_model(kinds[some[1]])}: they share no metric to compare")  # fmt: skip
    return set(kinds.values()) == {NETWORK}


def _model(kind: str) -> str:
    return " model" if kind == "language" else ""


def check_options(context: typer.Context, name: str, *, network: bool) -> None:
    """Refuse options that were given and that a kind of model does not have."""
    other = LANGUAGE_ONLY if network else NETWORK_ONLY
    for option in context.command.params:
        field = option.name or ""
        instead = other.get(field) or (_DP if network and field.startswith(_POOLS) else "")
        if instead and _given(context, field):
            what = "network" if network else "language model"
            raise InputError(f"{option.opts[0]} is not an option of the {what} {name}: {instead}")


def _given(context: typer.Context, field: str) -> bool:
    source = context.get_parameter_source(field)
    return source is not None and source.name == "COMMANDLINE"

"""The options that several commands share. Numbers are words here: :mod:`perfmodel.arguments` reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

_ONE, _MANY = "N", "N,N|A:B:xN"


def complete_model(incomplete: str) -> list[str]:
    """Return the names of language models and networks that begin like that; of a list, those of its last name."""
    from perfmodel.specs.locate import list_specs
    from perfmodel.workloads.networks.library import list_networks

    return _last_of_list(incomplete, lambda: (*list_specs("workloads", "workload"), *list_networks()))


def complete_device(incomplete: str) -> list[str]:
    """Return the device and system names that begin like that; of a list, those of its last name."""
    from perfmodel.specs.locate import list_specs

    kinds = ("device", "system")
    return _last_of_list(incomplete, lambda: [name for kind in kinds for name in list_specs("hardware_specs", kind)])


def complete_usecase(incomplete: str) -> list[str]:
    """Return the names of use cases that begin like that."""
    from perfmodel.specs.locate import list_specs

    return _last_of_list(incomplete, lambda: list_specs("workloads", "usecase"))


def complete_precision(incomplete: str) -> list[str]:
    """Return the names of precisions that begin like that; of a list, those of its last name."""
    from perfmodel.formats import format_names

    return _last_of_list(incomplete, format_names)


def _last_of_list(incomplete: str, names: Callable[[], Iterable[str]]) -> list[str]:
    from perfmodel.cli.settings import with_folders

    before, comma, last = incomplete.rpartition(",")
    with with_folders():
        return [f"{before}{comma}{name}" for name in names() if name.startswith(last)]


def _words(*known: str) -> Callable[[str], list[str]]:
    """Return a completion of a closed list of words."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    return complete


_ENGINES = ("vllm", "sglang", "trtllm", "torch", "torch-channels-last", "torch-compile", "tensorrt", "onnxruntime")


def option(name: str, metavar: str, text: str) -> Any:
    """Return an option that takes a word."""
    return typer.Option(name, metavar=metavar, help=text)


Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", autocompletion=complete_model, help="A model's or network's name, alias or file."),
]
Device = Annotated[
    str,
    typer.Argument(metavar="DEVICE", autocompletion=complete_device, help="A device's name, alias or YAML file."),
]
On = Annotated[
    str,
    typer.Option(
        "--on", metavar="DEVICE", autocompletion=complete_device, help="The device: a name, an alias or a YAML file."
    ),
]

OptionalOn = Annotated[
    str,
    typer.Option("--on", metavar="DEVICE", autocompletion=complete_device, help="The device; counts need none."),
]

Batch = Annotated[
    str,
    typer.Option(
        "--batch", metavar=_ONE, help="Requests in flight over the whole deployment; samples of a network at once."
    ),
]
Input = Annotated[str, typer.Option("--input", metavar=_ONE, help="Input tokens of a request.")]
Output = Annotated[str, typer.Option("--output", metavar=_ONE, help="Output tokens of a request.")]
UseCaseName = Annotated[
    str,
    typer.Option(
        "--usecase",
        metavar="NAME",
        autocompletion=complete_usecase,
        help="Mean lengths of a kind of service: chat, rag, agent, ...",
    ),
]
Tp = Annotated[str, typer.Option("--tp", metavar=_ONE, help="Tensor parallelism.")]
Ep = Annotated[str, typer.Option("--ep", metavar=_ONE, help="Expert parallelism.")]
MoeTp = Annotated[
    str, typer.Option("--moe-tp", metavar=_ONE, help="Ways to split each expert  [default: tp*attention-dp/ep]")
]
AttentionDp = Annotated[
    str, typer.Option("--attention-dp", metavar=_ONE, help="Groups of tp devices that attend to different requests.")
]
Dp = Annotated[str, typer.Option("--dp", metavar=_ONE, help="Whole replicas.")]
Pp = Annotated[str, typer.Option("--pp", metavar=_ONE, help="Pipeline stages.")]
Cp = Annotated[str, typer.Option("--cp", metavar=_ONE, help="Ranks that hold a part of each sequence.")]
Microbatches = Annotated[
    str, typer.Option("--microbatches", metavar=_ONE, help="Parts of the batch in the pipeline  [default: --pp]")
]
SequenceParallel = Annotated[
    bool, typer.Option("--sequence-parallel", help="Norms on a tp-th of the tokens: reduce-scatter and all-gather.")
]
RedundantExperts = Annotated[
    str, typer.Option("--redundant-experts", metavar=_ONE, help="Copies of busy experts, so that --ep divides.")
]
DraftTokens = Annotated[
    str,
    typer.Option("--draft-tokens", metavar="N", help="Tokens that the multi-token-prediction module drafts a step."),
]
Acceptance = Annotated[
    str,
    typer.Option("--acceptance", metavar="SHARE", help="How likely a draft is kept, if those before it are.  [0.8]"),
]
CpMode = Annotated[str, typer.Option("--cp-mode", metavar="MODE", help="Keys in a prefill: ring or all_gather.")]
Overlap = Annotated[
    str,
    typer.Option("--overlap", metavar="NAME", help="none, or two_batch: the experts' exchange hides behind half."),
]

Batches = Annotated[str, typer.Option("--batch", metavar=_MANY, help="Requests in flight, such as 1:512:x2.")]
Inputs = Annotated[str, typer.Option("--input", metavar=_MANY, help="Input tokens, such as 512,2048.")]
Outputs = Annotated[str, typer.Option("--output", metavar=_MANY, help="Output tokens.")]
Tps = Annotated[str, typer.Option("--tp", metavar=_MANY, help="Tensor parallelism.")]
Eps = Annotated[str, typer.Option("--ep", metavar=_MANY, help="Expert parallelism.")]
AttentionDps = Annotated[str, typer.Option("--attention-dp", metavar=_MANY, help="Attention groups.")]
Dps = Annotated[str, typer.Option("--dp", metavar=_MANY, help="Whole replicas.")]

Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        autocompletion=complete_precision,
        help="Weights and activations of linear layers: bfloat16, fp8, fp8_block, nvfp4, int8, int4_wo, ..."
        "  [default: as the checkpoint; networks: 16 bits]",
    ),
]
MoePrecision = Annotated[
    str, typer.Option("--moe-precision", metavar="NAME", help="The same of experts  [default: --precision]")
]
Kv = Annotated[
    str, typer.Option("--kv", metavar="NAME", help="KV cache precision  [default: fp8 if stored so, else 16 bit]")
]
Phase = Annotated[
    str,
    typer.Option(
        "--phase",
        metavar="PHASE",
        autocompletion=_words("serve", "prefill", "decode"),
        help="serve (a closed loop in steady state), prefill or decode.",
    ),
]
StepPhase = Annotated[str, typer.Option("--phase", metavar="PHASE", help="prefill or decode.")]
Static = Annotated[bool, typer.Option("--static", help="Start all requests together: one prefill, then decode.")]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        autocompletion=_words(*_ENGINES),
        help="vllm, sglang or trtllm; for a network torch, torch-compile, tensorrt or onnxruntime"
        "  [default: bare, no framework]",
    ),
]
Mode = Annotated[
    str, typer.Option("--mode", metavar="MODE", help="agg, or disagg: pools of prefill and decode workers.")
]
RoutingName = Annotated[
    str, typer.Option("--routing", metavar="NAME", help="Tokens over experts: uniform, balanced or power_law_1.2.")
]

Image = Annotated[
    str, typer.Option("--image", metavar=_ONE, help="Networks: pixels a side of the input  [default: as published]")
]
Images = Annotated[str, typer.Option("--image", metavar=_MANY, help="Networks: pixels a side, such as 224,288.")]
Fusion = Annotated[
    str,
    typer.Option(
        "--fusion",
        metavar="NAME",
        help="Networks: what runs in one kernel: none, pointwise, epilogue or block  [default: the engine's]",
    ),
]
Layers = Annotated[
    str,
    typer.Option(
        "--layers", metavar="PATTERN=NAME,..", help="Networks: precisions of single layers, such as fc=float16."
    ),
]
Sparsity = Annotated[
    str, typer.Option("--sparsity", metavar="NAME", help="Networks: dense, or 2:4 structured weights  [default: dense]")
]

PowerLimit = Annotated[
    str, typer.Option("--power-limit", metavar="WATTS", help="Power limit of a device  [default: the board's own]")
]
PriceKind = Annotated[
    str,
    typer.Option(
        "--price-kind",
        metavar="KIND",
        autocompletion=_words("cloud_hour", "spot_hour", "reserved_hour", "purchase"),
        help="cloud_hour, spot_hour, reserved_hour or purchase.",
    ),
]
UsdPerHour = Annotated[
    str, typer.Option("--usd-per-hour", metavar="USD", help="What a device costs an hour  [default: as its file says]")
]
UsdPerKwh = Annotated[
    str, typer.Option("--usd-per-kwh", metavar="USD", help="Electricity, where the hour does not include it.")
]

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Another number: device.memory.main.bandwidth=4TB/s, model.ffn.topk=*2, model.image=288.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object in SI units, and nothing else.")]
CsvFile = Annotated[
    str, typer.Option("--csv", metavar="FILE", help="Write CSV (.csv.gz is zipped, - is standard output).")
]
ParquetFolder = Annotated[
    str,
    typer.Option("--parquet", metavar="FOLDER", help="Write a folder of Parquet files, FOLDER.parquet; resumable."),
]
Dask = Annotated[
    str,
    typer.Option(
        "--dask",
        metavar="SCHEDULER",
        help="Spread over the workers of dask: tcp://HOST:8786, a scheduler file, or a number of processes here.",
    ),
]
HtmlFile = Annotated[
    str, typer.Option("--html", metavar="FILE", help="Write a report: one page that needs no network.")
]
XlsxFile = Annotated[str, typer.Option("--xlsx", metavar="FILE", help="Write a workbook.")]

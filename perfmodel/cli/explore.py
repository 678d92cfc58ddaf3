"""``perfmodel explore``: one HTML page that answers again in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, stamped_page
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.question import changes, lengths, options
from perfmodel.errors import InputError

app = new_app()
STORED = "stored"
"""The precision of the checkpoint in a list of precisions."""

_USUAL_PRECISIONS = ("bfloat16", "fp8", "nvfp4")


def _list(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="NAME,NAME", help=help_text)


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "explore llama-3.1-8b --on h100-sxm,l40s --html llama.html",
        "explore deepseek-v3 --on h200-sxm --tp 8 --ep 1,8 --precision stored --engine sglang --html v3.html",
        "explore ./config.json --on b200 --tp 1,2 --precision stored,nvfp4 --batch 64 --usecase chat --html mine.html",
    ),
)
def explore(
    model: o.Model,
    devices: Annotated[
        str,
        typer.Option(
            "--on", metavar="DEVICE,DEVICE", autocompletion=o.complete_device, help="The devices to pick from."
        ),
    ],
    html: o.HtmlFile = "",
    batch: o.Batch = "1",
    input_tokens: o.Input = "",
    output_tokens: o.Output = "",
    usecase: o.UseCaseName = "",
    tp: o.Tps = "1,2,4,8",
    ep: o.Eps = "1",
    attention_dp: o.AttentionDps = "1",
    dp: o.Dps = "1",
    pp: Annotated[str, typer.Option("--pp", metavar="N,N|A:B:xN", help="Pipeline stages.")] = "1",
    precision: Annotated[
        str,
        _list(
            "--precision", "Precisions to pick from; stored is the checkpoint's  [default: stored and the usual ones]"
        ),
    ] = "",
    kv: Annotated[str, _list("--kv", "KV cache precisions to pick from  [default: as stored]")] = STORED,
    engine: Annotated[str, _list("--engine", "Engines to pick from: bare, vllm, sglang, trtllm")] = "bare",
    phase: o.Phase = "serve",
    static: o.Static = False,
    routing: o.RoutingName = "uniform",
    price_kind: o.PriceKind = "cloud_hour",
    change: o.Changes = None,
) -> None:
    """Write a page whose sliders and lists recompute an estimate in the browser, without a server or a network.

    Batch, lengths and every number of a device are sliders; devices, splits and precisions are lists, every combination
    of which is in the file. The numbers are those of `perfmodel estimate`.
    """
    if not html:
        raise InputError("explore writes a page: name it with --html FILE")
    from perfmodel.workloads.kinds import NETWORK, kind_of

    if kind_of(model) == NETWORK:
        raise InputError(f"{model} is a network, and explore is for language models; see perfmodel sweep --vary")
    from perfmodel.arguments import parse_axis, whole
    from perfmodel.cli.progress import progress
    from perfmodel.devices import load_device
    from perfmodel.explorer.choices import Choices
    from perfmodel.explorer.choices import explore as trace
    from perfmodel.explorer.page import explorer_html
    from perfmodel.files import write_text
    from perfmodel.workloads.library import load_model
    from perfmodel.workloads.what_if import changed

    first, second = lengths(usecase, input_tokens, output_tokens)
    request = {"batch": whole("--batch", batch), "input_tokens": whole("--input", first),
               "output_tokens": whole("--output", second)}  # fmt: skip
    words = {"model": [model], "device": _words("--on", devices)}
    workload = load_model(model)
    machines = [changed(workload, load_device(name), changes(change)) for name in words["device"]]
    splits = {"tp": tp, "ep": ep, "attention_dp": attention_dp, "dp": dp, "pp": pp}
    axes: dict[str, tuple[Any, ...]] = {
        name: tuple(dict.fromkeys(parse_axis(f"--{name.replace('_', '-')}", text))) for name, text in splits.items()
    }
    axes["precision"] = _or_none("--precision", precision or _usual(machines[0][0]))
    axes["kv_precision"] = _or_none("--kv", kv)
    axes["engine"] = tuple("" if name == "bare" else name for name in _words("--engine", engine))
    fixed = options(phase=phase, static=static, routing=routing, price_kind=price_kind)
    choices = Choices(
        machines[0][0], tuple(machine for _, machine in machines), axes,
        {name: value for name, value in fixed.items() if name not in axes},
    )  # fmt: skip
    with progress("combinations") as say:
        explored = trace(choices, say)
    page = explorer_html(explored, request, words, _fixed(phase, static, routing, price_kind, change))
    write_text(html, stamped_page(page, {"schema": "perfmodel/explore/1"}))
    refused = f" ({len(explored.refused)} cannot be)" if explored.refused else ""
    note(f"wrote {html}: {len(explored.traced)} combinations{refused}")


def _usual(model: Any) -> str:
    stored = model.quantisation.linear
    return ",".join([STORED, *(name for name in _USUAL_PRECISIONS if name != stored)])


def _words(option: str, text: str) -> list[str]:
    found = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not found:
        raise InputError(f"{option} names nothing")
    return found


def _or_none(option: str, text: str) -> tuple[str | None, ...]:
    return tuple(None if word == STORED else word for word in _words(option, text))


def _fixed(phase: str, static: bool, routing: str, price_kind: str, change: Sequence[str] | None) -> list[str]:
    """Return the words of the options that stay as they are, where they are not the usual ones."""
    found = [] if phase == "serve" else ["--phase", phase]
    found += ["--static"] if static else []
    found += [] if routing == "uniform" else ["--routing", routing]
    found += [] if price_kind == "cloud_hour" else ["--price-kind", price_kind]
    for text in change or ():
        found += ["--set", text]
    return found

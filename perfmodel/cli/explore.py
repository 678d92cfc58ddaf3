"""``perfmodel explore``: one HTML page that answers again in the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.kinds import is_network
from perfmodel.cli.output import note, stamped_page
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.question import changes, lengths, options, pools, refuse_plan_beside_pools
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.explorer.choices import Choices

app = new_app()
STORED = "stored"
"""The precision of the checkpoint in a list of precisions; of a network its usual one."""

_USUAL_PRECISIONS = ("bfloat16", "fp8", "nvfp4")


def _list(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="NAME,NAME", help=help_text)


def _pools(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="FIELD=N,..", help=help_text)


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "explore llama-3.1-8b --on h100-sxm,l40s --html llama.html",
        "explore deepseek-v3 --on h200-sxm --tp 8 --ep 1,8 --precision stored --engine sglang --html v3.html",
        "explore ./config.json --on b200 --tp 1,2 --precision stored,nvfp4 --batch 64 --usecase chat --html mine.html",
        "explore llama-3.1-70b --on h200-sxm --prefill tp=2 --prefill workers=2,tp=2 --decode tp=4 --html pools.html",
        "explore resnet50 --on rtx-4090,jetson-orin-nano-8gb --image 224,288 --precision float16,int8 --html net.html",
    ),
)
def explore(
    context: typer.Context,
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
    prefill: Annotated[
        list[str] | None, _pools("--prefill", "A prefill pool to pick, such as workers=4,tp=4; may be repeated.")
    ] = None,
    decode: Annotated[list[str] | None, _pools("--decode", "A decode pool to pick; may be repeated.")] = None,
    draft_tokens: Annotated[
        str, typer.Option("--draft-tokens", metavar="N,N", help="Drafted tokens a step to pick from, such as 0,1,2.")
    ] = "0",
    acceptance: o.Acceptance = "",
    precision: Annotated[
        str,
        _list(
            "--precision", "Precisions to pick from; stored is the checkpoint's  [default: stored and the usual ones]"
        ),
    ] = "",
    kv: Annotated[str, _list("--kv", "KV cache precisions to pick from  [default: as stored]")] = STORED,
    engine: Annotated[
        str, _list("--engine", "Engines to pick from: bare, vllm, sglang, trtllm; of networks bare, tensorrt, ...")
    ] = "bare",
    image: o.Images = "",
    fusion: Annotated[str, _list("--fusion", "Networks: fusions to pick from  [default: the engine's]")] = "",
    sparsity: Annotated[str, _list("--sparsity", "Networks: dense, 2:4 or both")] = "",
    phase: o.Phase = "serve",
    static: o.Static = False,
    routing: o.RoutingName = "uniform",
    price_kind: o.PriceKind = "cloud_hour",
    change: o.Changes = None,
) -> None:
    """Write a page whose sliders and lists recompute an estimate in the browser, without a server or a network.

    Batch, lengths and every number of a device are sliders; devices, splits, precisions and image sizes are lists,
    every combination of which is in the file. The numbers are those of `perfmodel estimate`.
    """
    network = is_network(context, model)
    if not html:
        raise InputError("explore writes a page: name it with --html FILE")
    from perfmodel.arguments import whole

    request = {"batch": whole("--batch", batch)}
    words = {"model": [model], "device": _words("--on", devices)}
    if network:
        choices = _network_choices(
            model, words["device"], image=image, precision=precision, engine=engine, fusion=fusion, sparsity=sparsity,
            dp=dp, price_kind=price_kind, change=change,
        )  # fmt: skip
        _write(html, choices, request, words, _fixed(price_kind=price_kind, change=change))
        return
    first, second = lengths(usecase, input_tokens, output_tokens)
    request |= {"input_tokens": whole("--input", first), "output_tokens": whole("--output", second)}
    splits = {"tp": tp, "ep": ep, "attention_dp": attention_dp, "dp": dp, "pp": pp}
    own = _own_pools(context, splits, prefill, decode)
    axes = own or _counts(splits)
    drafts = tuple(whole("--draft-tokens", word, least=0) for word in _words("--draft-tokens", draft_tokens))
    axes |= {"draft_tokens": drafts} if drafts != (0,) else {}
    fixed = options(phase=phase, static=static, routing=routing, price_kind=price_kind)
    fixed |= ({"mode": "disagg"} if own else {}) | ({"acceptance": acceptance} if acceptance else {})
    choices = _language_choices(
        model, words["device"], axes, fixed, precision=precision, kv=kv, engine=engine, change=change
    )  # fmt: skip
    told = _fixed(
        phase=phase, static=static, routing=routing, acceptance=acceptance, price_kind=price_kind, change=change
    )  # fmt: skip
    _write(html, choices, request, words, told)


def _write(
    html: str, choices: Choices, request: Mapping[str, int], words: Mapping[str, Sequence[str]], fixed: Sequence[str]
) -> None:
    """Trace every combination, and write the page."""
    from perfmodel.cli.progress import progress
    from perfmodel.explorer.choices import MOST_BYTES
    from perfmodel.explorer.choices import explore as trace
    from perfmodel.explorer.page import explorer_html
    from perfmodel.files import write_text

    with progress("combinations") as say:
        explored = trace(choices, say)
    page = stamped_page(explorer_html(explored, request, words, fixed), {"schema": "perfmodel/explore/1"})
    write_text(html, page)
    refused = f" ({len(explored.refused)} cannot be)" if explored.refused else ""
    note(f"wrote {html}: {len(explored.traced)} combinations{refused}")
    if (size := len(page.encode())) > MOST_BYTES:
        note(f"the page takes {size / 1e6:.1f} MB, and opens slowly beyond {MOST_BYTES / 1e6:g}: name fewer values")


def _language_choices(
    model: str, devices: Sequence[str], axes: dict[str, tuple[Any, ...]], fixed: Mapping[str, Any], *, precision: str,
    kv: str, engine: str, change: Sequence[str] | None,
) -> Choices:  # fmt: skip
    from perfmodel.devices import load_device
    from perfmodel.explorer.choices import Choices
    from perfmodel.workloads.library import load_model
    from perfmodel.workloads.what_if import changed

    workload = load_model(model)
    pairs = [changed(workload, load_device(name), changes(change)) for name in devices]
    stored = pairs[0][0].quantisation.linear
    usual = ",".join([STORED, *(name for name in _USUAL_PRECISIONS if name != stored)])
    axes |= {
        "precision": _or_none("--precision", precision or usual), "kv_precision": _or_none("--kv", kv),
        "engine": tuple("" if name == "bare" else name for name in _words("--engine", engine)),
    }  # fmt: skip
    others = {name: value for name, value in fixed.items() if name not in axes}
    return Choices(pairs[0][0], tuple(machine for _, machine in pairs), axes, others)


def _network_choices(
    model: str, devices: Sequence[str], *, image: str, precision: str, engine: str, fusion: str, sparsity: str,
    dp: str, price_kind: str, change: Sequence[str] | None,
) -> Choices:  # fmt: skip
    from perfmodel.devices import load_device
    from perfmodel.devices.override import change_device
    from perfmodel.explorer.choices import Choices

    other = changes(change)
    own = {name.removeprefix("device."): value for name, value in other.items() if name.startswith("device.")}
    machines = tuple(change_device(load_device(name), own) for name in devices)
    axes = _counts({"image": image}) if image else {}
    axes["precision"] = _or_none("--precision", precision or f"{STORED},int8")
    axes["engine"] = tuple("" if name == "bare" else name for name in _words("--engine", engine))
    axes |= {"fusion": tuple(_words("--fusion", fusion))} if fusion else {}
    axes |= {"sparsity": tuple(_words("--sparsity", sparsity))} if sparsity else {}
    axes |= _counts({"dp": dp})
    rest = {name: value for name, value in other.items() if not name.startswith("device.")}
    return Choices(model, machines, axes, {"price_kind": price_kind, "changes": rest})


def _counts(texts: Mapping[str, str]) -> dict[str, tuple[Any, ...]]:
    from perfmodel.arguments import parse_axis

    return {name: tuple(dict.fromkeys(parse_axis(f"--{name.replace('_', '-')}", text))) for name, text in texts.items()}


def _own_pools(
    context: typer.Context, splits: Mapping[str, str], prefill: Sequence[str] | None, decode: Sequence[str] | None
) -> dict[str, tuple[Any, ...]]:
    """Return the pools to pick from; nothing where none is named."""
    if not prefill and not decode:
        return {}
    found = {
        f"{name}_pool": tuple(pools("", {name: text})[f"{name}_pool"] for text in texts or ["workers=1"])
        for name, texts in (("prefill", prefill), ("decode", decode))
    }
    refuse_plan_beside_pools(found, SimpleNamespace(**{n: text for n, text in splits.items() if _given(context, n)}))
    return found


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _words(option: str, text: str) -> list[str]:
    found = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not found:
        raise InputError(f"{option} names nothing")
    return found


def _or_none(option: str, text: str) -> tuple[str | None, ...]:
    return tuple(None if word == STORED else word for word in _words(option, text))


def _fixed(
    *, price_kind: str, change: Sequence[str] | None, phase: str = "serve", static: bool = False,
    routing: str = "uniform", acceptance: str = "",
) -> list[str]:  # fmt: skip
    """Return the words of the options that stay as they are, where they are not the usual ones."""
    found = [] if phase == "serve" else ["--phase", phase]
    found += ["--static"] if static else []
    found += [] if routing == "uniform" else ["--routing", routing]
    found += ["--acceptance", acceptance] if acceptance else []
    found += [] if price_kind == "cloud_hour" else ["--price-kind", price_kind]
    for text in change or ():
        found += ["--set", text]
    return found

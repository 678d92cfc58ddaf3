"""``perfmodel explore``: one HTML page that answers again in the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Load, Phases
from perfmodel.cli.kinds import is_network
from perfmodel.cli.output import note, stamped_page
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.question import changes, pools, refuse_plan_beside_pools
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.explorer.choices import Choices

app = new_app()
STORED = "stored"
"""The precision of the checkpoint in a list of precisions; of a network its usual one."""

_USUAL_PRECISIONS = ("bfloat16", "fp8", "nvfp4")


def _list(option: str, help_text: str) -> Any:
    complete = o.complete_precision if option == "--precision" else None
    return typer.Option(option, metavar="NAME,NAME", autocompletion=complete, help=help_text)


def _pools(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="FIELD=N,..", help=help_text)


@dataclass(frozen=True)
class Splits:
    """How a deployment may be split: lists, or pools."""

    tp: o.Tps = "1,2,4,8"
    ep: o.Eps = "1"
    attention_dp: o.AttentionDps = "1"
    dp: o.Dps = "1"
    pp: Annotated[str, typer.Option("--pp", metavar="N,N|A:B:xN", help="Pipeline stages.")] = "1"
    prefill: Annotated[
        list[str] | None, _pools("--prefill", "A prefill pool to pick, such as workers=4,tp=4; may be repeated.")
    ] = None
    decode: Annotated[list[str] | None, _pools("--decode", "A decode pool to pick; may be repeated.")] = None
    draft_tokens: Annotated[
        str, typer.Option("--draft-tokens", metavar="N,N", help="Drafted tokens a step to pick from, such as 0,1,2.")
    ] = "0"

    def axes(self, context: typer.Context) -> dict[str, tuple[Any, ...]]:
        """Return the values of each option of a language model's estimate that the page offers."""
        from perfmodel.arguments import whole

        splits = {name: getattr(self, name) for name in ("tp", "ep", "attention_dp", "dp", "pp")}
        found = _own_pools(context, splits, self.prefill, self.decode) or _counts(splits)
        words = _words("--draft-tokens", self.draft_tokens)
        drafts = tuple(whole("--draft-tokens", word, least=0) for word in words)
        return found | ({"draft_tokens": drafts} if drafts != (0,) else {})


@dataclass(frozen=True)
class Formats:
    """What may be computed in, and how: lists."""

    precision: Annotated[
        str,
        _list(
            "--precision", "Precisions to pick from; stored is the checkpoint's  [default: stored and the usual ones]"
        ),
    ] = ""
    kv: Annotated[str, _list("--kv", "KV cache precisions to pick from  [default: as stored]")] = STORED
    engine: Annotated[
        str, _list("--engine", "Engines to pick from: bare, vllm, sglang, trtllm; of networks bare, tensorrt, ...")
    ] = "bare"
    image: o.Images = ""
    fusion: Annotated[str, _list("--fusion", "Networks: fusions to pick from  [default: the engine's]")] = ""
    sparsity: Annotated[str, _list("--sparsity", "Networks: dense, 2:4 or both")] = ""


@dataclass(frozen=True)
class Fixed:
    """What holds for all of a page."""

    acceptance: o.Acceptance = ""
    phase: o.Phase = "serve"
    static: o.Static = False
    routing: o.RoutingName = "uniform"
    price_kind: o.PriceKind = "cloud_hour"
    change: o.Changes = None

    def arguments(self) -> dict[str, Any]:
        """Return the options of a language model's estimate."""
        phases = Phases(self.phase, self.static).arguments()
        found = {**phases, "routing": self.routing, "price_kind": self.price_kind}
        return found | ({"acceptance": self.acceptance} if self.acceptance else {})

    def words(self) -> list[str]:
        """Return the words of those that are not as usual."""
        found = [] if self.phase == "serve" else ["--phase", self.phase]
        found += ["--static"] if self.static else []
        found += [] if self.routing == "uniform" else ["--routing", self.routing]
        found += ["--acceptance", self.acceptance] if self.acceptance else []
        found += [] if self.price_kind == "cloud_hour" else ["--price-kind", self.price_kind]
        for text in self.change or ():
            found += ["--set", text]
        return found


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
@grouped
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
    *,
    load: Load,
    splits: Splits,
    formats: Formats,
    fixed: Fixed,
) -> None:
    """Write a page whose sliders and lists recompute an estimate in the browser, without a server or a network.

    Batch, lengths and every number of a device are sliders; devices, splits, precisions and image sizes are lists,
    every combination of which is in the file. The numbers are those of `perfmodel estimate`.
    """
    network = is_network(context, model)
    if not html:
        raise InputError("explore writes a page: name it with --html FILE")
    from perfmodel.arguments import whole

    asked = load.arguments()
    request = {"batch": whole("--batch", asked["batch"])}
    named = _words("--on", devices)
    if network:
        choices = _network_choices(model, named, splits.dp, formats, fixed)
    else:
        request |= {name: whole(f"--{name.removesuffix('_tokens')}", asked[name]) for name in ("input_tokens",
                                                                                        "output_tokens")}  # fmt: skip
        choices = _language_choices(model, named, splits.axes(context), formats, fixed)
    _write(html, choices, request, {"model": [model], "device": named}, fixed.words())


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
    model: str, devices: Sequence[str], axes: dict[str, tuple[Any, ...]], formats: Formats, fixed: Fixed
) -> Choices:  # fmt: skip
    from perfmodel.devices import load_device
    from perfmodel.explorer.choices import Choices
    from perfmodel.workloads.library import load_model
    from perfmodel.workloads.what_if import changed

    workload = load_model(model)
    pairs = [changed(workload, load_device(name), changes(fixed.change)) for name in devices]
    stored = pairs[0][0].quantisation.linear
    usual = ",".join([STORED, *(name for name in _USUAL_PRECISIONS if name != stored)])
    axes |= {
        "precision": _or_none("--precision", formats.precision or usual),
        "kv_precision": _or_none("--kv", formats.kv), "engine": _engines(formats),
    }  # fmt: skip
    others = {name: value for name, value in fixed.arguments().items() if name not in axes}
    others |= {"mode": "disagg"} if "prefill_pool" in axes else {}
    return Choices(pairs[0][0], tuple(machine for _, machine in pairs), axes, others)


def _network_choices(model: str, devices: Sequence[str], dp: str, formats: Formats, fixed: Fixed) -> Choices:
    from perfmodel.devices import load_device
    from perfmodel.devices.override import change_device
    from perfmodel.explorer.choices import Choices

    other = changes(fixed.change)
    own = {name.removeprefix("device."): value for name, value in other.items() if name.startswith("device.")}
    machines = tuple(change_device(load_device(name), own) for name in devices)
    axes = _counts({"image": formats.image}) if formats.image else {}
    axes |= {"precision": _or_none("--precision", formats.precision or f"{STORED},int8"), "engine": _engines(formats)}
    for name in ("fusion", "sparsity"):
        text = getattr(formats, name)
        axes |= {name: tuple(_words(f"--{name}", text))} if text else {}
    axes |= _counts({"dp": dp})
    rest = {name: value for name, value in other.items() if not name.startswith("device.")}
    return Choices(model, machines, axes, {"price_kind": fixed.price_kind, "changes": rest})


def _engines(formats: Formats) -> tuple[str, ...]:
    return tuple("" if name == "bare" else name for name in _words("--engine", formats.engine))


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

"""``perfmodel explain``: the formula behind a metric."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, Load, NetworkWords, Split, ask, ask_network
from perfmodel.cli.kinds import is_network
from perfmodel.cli.network_explain import COUNTS, explain_count, explain_latency, image_changes
from perfmodel.cli.output import print_columns, print_json
from perfmodel.cli.plain import PlannedCommand, examples, new_app
from perfmodel.cli.question import changes
from perfmodel.errors import InputError, did_you_mean

app = new_app()
SCHEMA = "perfmodel/explain/1"
METRICS = ("ttft", "tpot", "e2e")
NETWORK_METRICS = ("latency", *COUNTS)
_DEFAULT_SYMBOLS = "batch,input_tokens,bandwidth"


def _metrics(incomplete: str) -> list[str]:
    return [name for name in (*METRICS, *NETWORK_METRICS) if name.startswith(incomplete)]


@app.command(
    cls=PlannedCommand,
    epilog=examples(
        "explain tpot llama-3.1-8b --on h100-sxm",
        "explain ttft llama-3.1-8b --on h100-sxm --symbols input_tokens,bandwidth --latex",
        "explain latency resnet50 --on rtx-4090 --batch 64 --symbols batch,bandwidth,peak",
        "explain macs resnet50 --symbols image",
        "explain parameters vit_base_patch16_224 --symbols width,depth --latex",
    ),
)
@grouped
def explain(
    context: typer.Context,
    metric: Annotated[
        str,
        typer.Argument(
            metavar="METRIC",
            autocompletion=_metrics,
            help="ttft, tpot or e2e; of a network latency, parameters, activations, macs or weights.",
        ),
    ],
    model: o.Model,
    device: o.OptionalOn = "",
    symbols: Annotated[
        str,
        typer.Option(
            "--symbols",
            metavar="NAME,NAME",
            help="What stays a symbol in the formula: batch, bandwidth, peak, ...; in a network's counts a field of "
            "its family: image, depths, width, ...",
        ),
    ] = "",
    *,
    load: Load,
    split: Split,
    arithmetic: Arithmetic,
    static: o.Static = False,
    words: NetworkWords,
    expected: Annotated[
        bool, typer.Option("--expected", help="Also show the whole calibrated form, which is long.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the formulas as LaTeX.")] = False,
    json: o.Json = False,
) -> None:
    """Show the formula of a metric: what it is made of, its bound in symbols, and their values.

    Of a network: the latency of a batch, or how its parameters, activations, multiply-accumulates or bytes of weights
    grow with the size of the image, its depth or its width, exactly where they are polynomials.
    """
    names = tuple(name.strip() for name in symbols.split(",") if name.strip())
    network = is_network(context, model)
    _check(metric, model, device, network=network)
    if metric in COUNTS:
        fields = changes(arithmetic.change) | image_changes(model, words.image)
        explain_count(metric, model, names, fields, arithmetic.precision, latex=latex, json=json)
        return
    if network:
        found = ask_network(model, device, load, split, arithmetic, words)
        explain_latency(found, names, expected=expected, latex=latex, json=json)
        return
    from perfmodel.explain import explain as derive

    asked = ask(model, device, load, split, arithmetic, static=static)
    names = names or tuple(_DEFAULT_SYMBOLS.split(","))
    found = derive(asked.setup, metric, names, asked.batch, asked.input_tokens, asked.output_tokens)
    inputs = {"model": asked.model.name, "device": asked.device.name, "batch": asked.batch,
              "input_tokens": asked.input_tokens, "output_tokens": asked.output_tokens}  # fmt: skip
    _give(formulas_of(found, latex=latex, expected=expected), inputs, latex=latex, json=json)


def _give(shown: dict[str, Any], inputs: dict[str, Any], *, latex: bool, json: bool) -> None:
    if json:
        print_json({"schema": SCHEMA, "inputs": inputs, **shown})
    elif latex:
        print(*(text for text in (shown["bound"], shown.get("expected")) if text), sep="\n\n")
    else:
        _print(shown)


def _check(metric: str, model: str, device: str, *, network: bool) -> None:
    known = NETWORK_METRICS if network else METRICS
    if metric not in (*METRICS, *NETWORK_METRICS):
        raise InputError(f"unknown metric '{metric}'{did_you_mean(metric, known)} (one of {', '.join(known)})")
    if metric not in known:
        what = "network" if network else "language model"
        more = "" if network else f"; `perfmodel model show {model}` has its counts"
        raise InputError(f"the {what} {model} has no {metric}: one of {', '.join(known)}{more}")
    if not device and metric not in COUNTS:
        raise InputError(f"the {metric} of {model} needs a device: --on DEVICE")


def formulas_of(found: Any, *, latex: bool, expected: bool) -> dict[str, Any]:
    """Return an explanation as texts, of sympy or of LaTeX."""

    def formula(expression: Any) -> str:
        if not latex:
            return str(expression)
        from sympy import latex as as_latex

        return str(as_latex(expression))

    return {
        "metric": found.metric,
        "unit": "s",
        "bound": formula(found.bound),
        "parts": {name: formula(part) for name, part in found.parts.items()},
        "symbols": {
            name: {"symbol": str(symbol), "value": float(value), "unit": unit, "meaning": meaning}
            for name, (symbol, value, unit, meaning) in found.symbols.items()
        },
        "composition": list(found.composition),
        "operators": [
            row | {key: formula(row[key]) for key in ("flops", "bytes", "link_bytes")} for row in found.operators
        ],
        **({"expected": formula(found.expected)} if expected else {}),
    }


def _print(shown: dict[str, Any]) -> None:
    print(*shown["composition"], sep="\n")
    print(
        "\noperators of a step, per device and layer (n: sequences of its attention group, c: cached tokens of each)\n"
    )
    heading = ("phase", "operator", "x", "flops", "bytes", "link bytes")
    cells = ("flops", "bytes", "link_bytes")
    rows = [(r["phase"], r["name"], f"{r['repeat']:g}", *(r[c] for c in cells)) for r in shown["operators"]]
    if all(r["link_bytes"] == "0" for r in shown["operators"]):
        heading, rows = heading[:-1], [row[:-1] for row in rows]
    print_columns([heading, *rows], numbers=(2,), indent="  ")
    print(f"\n{shown['metric']} bound in seconds: the largest of")
    for name, part in shown["parts"].items():
        print(f"  {name:<8} {part}")
    if "expected" in shown:
        print(f"\n{shown['metric']} expected in seconds\n  {shown['expected']}")
    print_symbols(shown)


def print_symbols(shown: dict[str, Any]) -> None:
    """Print the symbols of a formula with their values."""
    print("\nwith" if shown["symbols"] else "")
    for name, entry in shown["symbols"].items():
        print(f"  {entry['symbol']} = {entry['value']:.6g} {entry['unit']}  ({name}: {entry['meaning']})")

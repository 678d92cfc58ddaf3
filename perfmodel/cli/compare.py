"""``perfmodel compare``: several answers side by side, and what made the difference."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import options as o
from perfmodel.cli.kinds import check_options, of_one_kind
from perfmodel.cli.output import give, of_samples, one_stdout, print_columns, short
from perfmodel.cli.plain import WatchedCommand, examples, new_app
from perfmodel.cli.question import changes
from perfmodel.errors import InputError, PlanError, did_you_mean

if TYPE_CHECKING:
    from perfmodel.comparison import Case, Comparison

app = new_app()
SCHEMA = "perfmodel/compare/1"
_SPELLINGS = {"input": "input_tokens", "output": "output_tokens", "kv": "kv_precision", "on": "device",
              "power_limit": "power_limit_w", "usd_per_hour": "usd_per_device_hour"}  # fmt: skip
_REAL = ("power_limit_w", "usd_per_device_hour", "usd_per_kwh")


@app.command(
    cls=WatchedCommand,
    epilog=examples(
        "compare llama-3.1-70b --on h100-sxm,mi300x --case tp=4,batch=16",
        "compare llama-3.1-8b,qwen3-8b --on l40s --batch 8",
        'compare qwen3-235b-a22b --on h200-sxm --case "tp=8,ep=8" --case "tp=4,attention_dp=2,ep=8" --html plans.html',
        "compare llama-3.1-8b --on h100-sxm --vary precision=bfloat16,fp8,int4_wo --batch 32",
        "compare llama-3.1-8b --on h100-sxm --vary device.memory.main.bandwidth=*1,*2",
        "compare llama-3.1-8b --on h100-sxm,l4,attacc --batch 16 --per watt",
        "compare resnet50,efficientnet_b0 --on rtx-4090,l40s --vary precision=float16,int8 --batch 64",
    ),
)
def compare(
    context: typer.Context,
    models: Annotated[
        str, typer.Argument(metavar="MODEL,..", autocompletion=o.complete_model, help="One model, or several.")
    ],
    devices: Annotated[
        str, typer.Option("--on", metavar="DEVICE,..", autocompletion=o.complete_device, help="One device, or several.")
    ],
    batch: o.Batch = "1",
    input_tokens: o.Input = "1024",
    output_tokens: o.Output = "256",
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="FIELD=VALUE,..", help="A case; give several to compare them.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="FIELD=VALUE,..", help="A case for each value of any field; repeats multiply."),
    ] = None,
    change: o.Changes = None,
    phase: o.Phase = "serve",
    static: o.Static = False,
    engine: o.Engine = "",
    baseline: Annotated[str, typer.Option("--baseline", metavar="N", help="The case to compare with, from 0.")] = "0",
    per: Annotated[
        str,
        typer.Option("--per", metavar="watt|mm2", help="Rates for each watt or mm2 of dies too, and at equal ones."),
    ] = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
) -> None:
    """Compare models, devices, plans or precisions: what changed, by how much, and which term did it.

    Cases are every combination of the models, the devices, and the values that vary, for each --case. A field is any
    option of estimate (tp, pp, precision, kv, engine, routing, power_limit, ...), device.FIELD or model.FIELD; of
    networks image, precision, fusion, engine, sparsity, dp, ...
    """
    one_stdout(json, csv)
    network = of_one_kind(_words(models))
    check_options(context, models, network=network)
    from perfmodel.arguments import whole
    from perfmodel.comparison import compare as run
    from perfmodel.comparison import product

    axes = {"model": _words(models), "device": _words(devices)} | axes_of(vary, network=network)
    explicit = [_fields("--case", text, network) for text in case or [""]]
    cases = [_merged(one, each) for one in product(axes) for each in explicit]
    common: dict[str, Any] = {"batch": batch, "engine": engine}
    if not network:
        common |= {"input_tokens": input_tokens, "output_tokens": output_tokens, "phase": phase, "static": static}
    fixed = changes(change)
    found = run([_merged({"changes": fixed}, one) if fixed else one for one in cases], whole("--baseline", baseline, 0),
                per, **common)  # fmt: skip
    give(_object(found), found.rows(), lambda: _print(found), json=json, csv=csv, html=html,
         page="comparison.comparison_html")  # fmt: skip
    if all(one.error for one in found.cases if one is not found.base):
        raise PlanError(next(one.error for one in found.cases if one.error))


def _words(text: str) -> list[str]:
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise InputError("name at least one model and one device")
    return found


def axes_of(vary: Sequence[str] | None, *, network: bool = False) -> dict[str, list[Any]]:
    """Return the values of each field of ``--vary FIELD=VALUE,VALUE``."""
    found: dict[str, list[Any]] = {}
    for text in vary or ():
        field, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise InputError(f"--vary: '{text}' is not FIELD=VALUE,VALUE, such as tp=1,2,4")
        name = _field("--vary", field.strip(), network)
        found[name] = [_value(name, v) for v in _values(name, values)]
    return found


def _values(name: str, text: str) -> list[str]:
    """Return the values of an axis; 1:8:x2 is a range of whole numbers (and 2:4 a sparsity)."""
    if ":" in text and name != "sparsity" and not name.startswith(("device.", "model.")):
        from perfmodel.arguments import parse_axis

        return [str(value) for value in parse_axis(name, text)]
    if ":" in text and name.startswith("device."):
        from perfmodel.arguments import parse_quantities

        return parse_quantities(name, text)
    return [word.strip() for word in text.split(",") if word.strip()]


def _fields(option: str, text: str, network: bool) -> dict[str, Any]:
    """Return the arguments of a case such as ``tp=4,device.power=400W``."""
    found: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        field, equals, value = part.partition("=")
        if not equals or not value.strip():
            raise InputError(f"{option}: '{part}' is not FIELD=VALUE, such as tp=4")
        name = _field(option, field.strip(), network)
        if name.startswith(("device.", "model.")):
            found.setdefault("changes", {})[name] = value.strip()
        else:
            found[name] = _value(name, value.strip())
    return found


def _field(option: str, text: str, network: bool) -> str:
    name = text.replace("-", "_")
    if text.startswith(("device.", "model.")):
        return text
    name = _SPELLINGS.get(name, name)
    known = _known_of_networks() if network else _known()
    if name not in known:
        hint = did_you_mean(name, known)
        raise InputError(f"{option}: no field '{text}'{hint} (one of {', '.join(known)}, device.FIELD, model.FIELD)")
    return name


def _known_of_networks() -> list[str]:
    from dataclasses import fields

    from perfmodel.serving.network import NetworkQuestion

    own = (f.name for f in fields(NetworkQuestion) if f.name != "layers")  # patterns have commas of their own
    return ["model", "device", "batch", "image", *own]


def _known() -> list[str]:
    from dataclasses import fields

    from perfmodel.api import estimate
    from perfmodel.serving.scenario import Question

    own = [name for name, p in inspect.signature(estimate).parameters.items() if p.kind is not p.VAR_KEYWORD]
    found = [*own, *(f.name for f in fields(Question))]
    return [n for n in dict.fromkeys(found) if n not in ("plan", "prefill_pool", "decode_pool", "changes", "mode")]


def _value(name: str, text: str) -> Any:
    from perfmodel.arguments import positive, truth

    if name in _REAL:
        return positive(name, text)
    return truth(name, text) if name in ("static", "sequence_parallel") else text


def _merged(one: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {**one, **over}
    if "changes" in one and "changes" in over:
        both["changes"] = {**one["changes"], **over["changes"]}
    return both


def _object(found: Comparison) -> dict[str, Any]:
    others = [case for case in found.cases if case is not found.base]
    return {
        "schema": SCHEMA,
        "version": __version__,
        "baseline": found.base.name,
        "cases": [row | {"inputs": _inputs(case), **_bands(case)} for row, case in
                  zip(found.rows(), found.cases, strict=True)],
        "differences": {c.name: {k: list(v) for k, v in found.differences(c).items()} for c in others},
        "attribution": {c.name: {m: _terms(found, m, c) for m in found.attributed} for c in others if not c.error},
        "explanations": {c.name: [found.explanation(m, c) for m in found.attributed] for c in others if not c.error},
        "operators": {c.name: c.report["operators"] for c in found.cases if not c.error},
    }  # fmt: skip


def _inputs(case: Case) -> dict[str, Any]:
    if case.estimate is None:
        return {name: str(value) for name, value in case.arguments.items()}
    return case.report["inputs"]


def _bands(case: Case) -> dict[str, Any]:
    if case.estimate is None:
        return {}
    times = ("ttft_s", "tpot_s", "e2e_s", "latency_s")
    return {"bands": {name: case.report[name] for name in times if name in case.report}}


def _terms(found: Comparison, metric: str, case: Case) -> list[dict[str, Any]]:
    return [
        {"name": t.name, "part": t.part, "baseline_s": t.baseline_s, "case_s": t.case_s,
         "difference_s": t.difference_s, "baseline_limit": t.baseline_limit, "case_limit": t.case_limit}
        for t in found.attribution(metric, case)
    ]  # fmt: skip


_TITLES = {
    "ttft_s": ("TTFT ms", 1e3), "tpot_s": ("TPOT ms", 1e3), "e2e_s": ("E2E s", 1.0), "latency_s": ("latency ms", 1e3),
    "tokens_per_s": ("tokens/s", 1.0), "samples_per_s": ("samples/s", 1.0),
    "tokens_per_s_per_device": ("tokens/s/device", 1.0), "samples_per_s_per_device": ("samples/s/device", 1.0),
    "requests_per_s": ("requests/s", 1.0), "memory_bytes_per_device": ("GB/device", 1e-9),
    "joules_per_token": ("J/token", 1.0), "joules_per_sample": ("J/sample", 1.0),
    "power_w_per_device": ("W/device", 1.0), "usd_per_million_tokens": ("USD/M tokens", 1.0),
    "usd_per_million_samples": ("USD/M samples", 1.0), "die_mm2": ("dies mm2", 1.0),
    "tokens_per_s_per_w": ("tokens/s/W", 1.0), "samples_per_s_per_w": ("samples/s/W", 1.0),
    "tokens_per_s_per_mm2": ("tokens/s/mm2", 1.0), "samples_per_s_per_mm2": ("samples/s/mm2", 1.0),
    "tokens_per_s_at_equal_power": ("tokens/s at equal power", 1.0),
    "samples_per_s_at_equal_power": ("samples/s at equal power", 1.0),
    "tokens_per_s_at_equal_area": ("tokens/s at equal area", 1.0),
    "samples_per_s_at_equal_area": ("samples/s at equal area", 1.0),
}  # fmt: skip


def _print(found: Comparison) -> None:
    rows = found.rows()
    samples = {str(case.report["inputs"].get("sample", "")) for case in found.cases if not case.error}
    sample = samples.pop() if len(samples) == 1 else ""
    table: list[list[str]] = [["", *(case.name for case in found.cases)]]
    for metric, (title, factor) in _TITLES.items():
        if any(row.get(metric) is not None for row in rows):
            table.append(
                [
                    of_samples(title, sample),
                    *(_cell(row, metric, factor, row["case"] == found.base.name) for row in rows),
                ]
            )
    table.append(["fits", *("" if row["error"] else "yes" if row["fits"] else "no" for row in rows)])
    table.append(["limited by", *(row.get("bottleneck", "") for row in rows)])
    for start, end in _fitting(table):
        if start > 1:
            print()
        part = [[row[0], *row[start:end]] for row in table]
        print_columns(part, numbers=range(1, len(part[0])))
    for case in found.cases:
        if case is not found.base:
            _print_case(found, case)


def _fitting(table: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Return which columns to print together, so that a line fits the terminal; a file or a pipe takes them all."""
    import shutil
    import sys

    if not sys.stdout.isatty():
        return [(1, len(table[0]))]
    widths = [max(map(len, column)) + 2 for column in zip(*table, strict=True)]
    room, found, start, used = shutil.get_terminal_size().columns + 2, [], 1, widths[0]
    for i in range(1, len(widths)):
        if used + widths[i] > room and i > start:
            found.append((start, i))
            start, used = i, widths[0]
        used += widths[i]
    return [*found, (start, len(widths))]


def _cell(row: Mapping[str, Any], metric: str, factor: float, is_base: bool) -> str:
    value, ratio = row.get(metric), row.get(f"{metric}_ratio")
    if value is None:
        return "-"
    return short(value * factor) + ("" if is_base or ratio is None else f" (x{ratio:.2f})")


def _print_case(found: Comparison, case: Case) -> None:
    print(f"\n{case.name} against {found.base.name}")
    if case.error:
        print(f"  cannot be: {case.error}")
        return
    changed = [f"{k} {_short(a)} -> {_short(b)}" for k, (a, b) in found.differences(case).items()]
    print("  changed: " + ("; ".join(changed[:14]) or "nothing"))
    for metric in found.attributed:
        if text := found.explanation(metric, case):
            print(f"  {text}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and abs(value) >= 100_000:
        return f"{value:,}"
    if isinstance(value, (list, dict)):
        from perfmodel.reports.summary import input_text

        return str(input_text(value)) or "none"
    return "none" if value is None else str(value)

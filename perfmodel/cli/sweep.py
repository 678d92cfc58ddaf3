"""``perfmodel sweep``: a grid of questions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.arguments import parse_axis
from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, NetworkKernels, Phases
from perfmodel.cli.kinds import is_network
from perfmodel.cli.network import layer_precisions
from perfmodel.cli.output import (
    note,
    of_samples,
    one_stdout,
    print_columns,
    print_json,
    short,
    write_page,
    write_table_csv,
)
from perfmodel.cli.plain import WatchedCommand, examples, new_app
from perfmodel.cli.progress import progress
from perfmodel.cli.question import changes
from perfmodel.errors import InputError

app = new_app()
SCHEMA = "perfmodel/sweep/1"
MOST_SHOWN, MOST_JSON, MOST_HTML = 40, 200_000, 50_000
_AXES = ("batch", "input_tokens", "output_tokens", "tp", "ep", "attention_dp", "dp")
_SHOWN = {
    "ttft_s": ("TTFT ms", 1e3), "tpot_s": ("TPOT ms", 1e3), "e2e_s": ("E2E s", 1.0), "tokens_per_s": ("tokens/s", 1.0),
    "tokens_per_s_per_device": ("tokens/s/device", 1.0), "latency_s": ("latency ms", 1e3),
    "samples_per_s": ("samples/s", 1.0), "joules_per_sample": ("J/sample", 1.0),
    "usd_per_million_samples": ("USD/M samples", 1.0), "memory_bytes_per_device": ("GB/device", 1e-9),
    "largest_batch": ("largest batch", 1.0),
}  # fmt: skip
"""The columns of a sweep that the terminal shows, with their headings and factors."""


@dataclass(frozen=True)
class _Grid:
    """A grid before it is answered: its size, the axes beside the usual ones, what holds for all, and how to run it."""

    points: int
    further: tuple[str, ...]
    chosen: Mapping[str, Any]
    run: Callable[..., Any]
    metrics: tuple[str, ...]


@app.command(
    cls=WatchedCommand,
    epilog=examples(
        "sweep llama-3.1-8b --on h100-sxm --batch 1:512:x2 --input 512,2048,8192 --csv grid.csv",
        "sweep deepseek-v3 --on h200-sxm --tp 8 --ep 1,2,4,8 --batch 32 --precision fp8 --json",
        "sweep llama-3.1-8b --on l40s --batch 1:256:x2 --input 512:16384:x2 --slo ttft=1s,tpot=30ms --html slo.html",
        "sweep llama-3.1-8b --on h100-sxm --vary device.memory.main.bandwidth=*1,*2,*4 --vary precision=bfloat16,fp8",
        "sweep llama-3.1-8b --on l40s --batch 1:512:1 --input 128:8192:64 --dask tcp://host:8786 --parquet grid",
        "sweep resnet50 --on rtx-4090 --batch 1:256:x2 --image 160,224,288 --precision float16,int8",
    ),
)
@grouped
def sweep(
    context: typer.Context,
    model: o.Model,
    device: o.On,
    batch: o.Batches = "1",
    input_tokens: o.Inputs = "1024",
    output_tokens: o.Outputs = "256",
    tp: o.Tps = "1",
    ep: o.Eps = "1",
    attention_dp: o.AttentionDps = "1",
    dp: o.Dps = "1",
    image: o.Images = "",
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", metavar="FIELD=VALUE,..", help="A further axis: any field (pp, precision, device.power)."
        ),
    ] = None,
    arithmetic: Arithmetic,
    phases: Phases,
    network: NetworkKernels,
    slo: Annotated[
        str, typer.Option("--slo", metavar="METRIC=TIME,..", help="Limits: iso-lines, such as ttft=500ms,tpot=30ms.")
    ] = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
    parquet: o.ParquetFolder = "",
    html: o.HtmlFile = "",
    dask: o.Dask = "",
) -> None:
    """Estimate a model on a device for every combination of the axes.

    An axis is a list (1,2,4), a doubling (1:512:x2) or steps (128:1024:128). --csv streams a grid of any size, and
    with --dask or --parquet in parts, of which the next run keeps what this one made. The axes of a network are
    --batch, --image, --precision, --dp and whatever --vary names.
    """
    one_stdout(json, csv)
    files = _Files(csv, _folder(parquet), html, dask)
    if is_network(context, model):
        words = {"batch": batch, "image": image, "dp": dp, "precision": arithmetic.precision}
        common = {"engine": arithmetic.engine, "fusion": network.fusion, "sparsity": network.sparsity or "dense",
                  "layers": tuple(layer_precisions(network.layers)),
                  "changes": changes(arithmetic.change)}  # fmt: skip
        grid = _of_network(model, device, words, further_axes(vary, network=True), common)
    else:
        words = {"batch": batch, "input_tokens": input_tokens, "output_tokens": output_tokens, "tp": tp, "ep": ep,
                 "attention_dp": attention_dp, "dp": dp}  # fmt: skip
        chosen = arithmetic.arguments() | phases.arguments()
        grid = _of_language_model(model, device, words, further_axes(vary), chosen)
    _answer(grid, _limits(slo, grid.metrics), json, files)


def _of_language_model(
    model: str, device: str, words: Mapping[str, str], further: dict[str, list[Any]], chosen: dict[str, Any]
) -> _Grid:
    from perfmodel.sweeps import sweep as run

    axes = {name: parse_axis(_option(name), text) for name, text in words.items()}
    points = prod(map(len, (*axes.values(), *further.values())))
    asked = partial(run, model, device, **axes, vary=further, **chosen)
    return _Grid(points, tuple(further), chosen, asked, ("ttft", "tpot", "e2e"))


def _of_network(
    model: str, device: str, words: Mapping[str, str], further: dict[str, list[Any]], common: dict[str, Any]
) -> _Grid:
    from perfmodel.sweeps import sweep_network

    axes: dict[str, list[Any]] = {"batch": parse_axis("--batch", words["batch"])}
    for name in ("image", "dp"):
        if words[name] not in ("", "1"):
            further[name] = parse_axis(f"--{name}", words[name])
    precisions = [word.strip() for word in words["precision"].split(",") if word.strip()]
    if len(precisions) > 1:
        further["precision"] = precisions
    elif precisions:
        common["precision"] = precisions[0]
    points = prod(map(len, (*axes.values(), *further.values())))
    return _Grid(
        points, tuple(further), common, partial(sweep_network, model, device, **axes, vary=further, **common),
        ("latency",),
    )  # fmt: skip


@dataclass(frozen=True)
class _Files:
    """Where the answer goes, and which workers make it."""

    csv: str
    parquet: str
    html: str
    dask: str

    @property
    def streamed(self) -> str | None:
        """The file or folder that points are streamed to, None if they are needed at hand."""
        if self.parquet and (self.csv or self.html):
            raise InputError("--parquet streams the points; leave out --csv and --html")
        # a page needs the points at hand, which are then written as a table too
        found = self.parquet or (self.csv if self.csv not in ("", "-") and not self.html else None)
        if self.dask and found is None:
            raise InputError("--dask streams the points to files: add --csv FILE or --parquet FOLDER")
        return found


def _folder(name: str) -> str:
    return name if not name or name.endswith(".parquet") else f"{name.rstrip('/')}.parquet"


def _answer(grid: _Grid, limits: dict[str, float], json: bool, files: _Files) -> None:
    """Run a grid and give the answer in the ways that were asked for."""
    points, csv, html = grid.points, files.csv, files.html
    if html and points > MOST_HTML:
        raise InputError(f"{points:,} points are too many for one page (at most {MOST_HTML:,}); use --csv FILE")
    if json and points > MOST_JSON:
        raise InputError(f"{points:,} points are too many for one JSON object (at most {MOST_JSON:,}); use --csv FILE")
    target = files.streamed
    with progress("sweep") as update:
        found = grid.run(out=target, progress=update, scheduler=files.dask)
    if html:
        _write_html(html, found, limits)
        if csv not in ("", "-"):
            write_table_csv(csv, list(found.rows()))
    if json:
        inputs = {"model": found.model, "device": found.device, **found.axes, **grid.chosen}
        answer = {"shape": found.shape, "rows": found.rows(), "problems": found.problems}
        print_json({"schema": SCHEMA, "version": __version__, "inputs": inputs, **answer})
    elif csv == "-":
        write_table_csv(csv, list(found.rows()))
    elif not csv and not target:
        _print(list(found.rows(limit=MOST_SHOWN)), points, grid.further, found.sample)
    if limits and not csv and not target:
        _best(list(found.rows()), limits, found.axes)
    _notes(found.problems, csv or files.parquet)


def _option(name: str) -> str:
    return "--" + name.removesuffix("_tokens").replace("_", "-")


def _notes(problems: list[tuple[str, str]], csv: str) -> None:
    for plan, reason in problems:
        note(f"left out: {plan}: {reason}")
    if csv not in ("", "-"):
        note(f"wrote {csv}")


def further_axes(vary: list[str] | None, *, network: bool = False) -> dict[str, list[Any]]:
    """Return the axes of ``--vary``, counts as numbers."""
    from perfmodel.cli.compare import axes_of

    return {name: [_plain(v) for v in values] for name, values in axes_of(vary, network=network).items()}


def _plain(value: Any) -> Any:
    """Return a count as a number, so that it sorts and plots as one."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _limits(slo: str, metrics: Sequence[str]) -> dict[str, float]:
    """Return the most seconds of each metric of a service level such as ``ttft=500ms,tpot=30ms``."""
    from perfmodel.cli.durations import seconds

    found: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in slo.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in metrics or not equals:
            known, first = " or ".join(metrics), metrics[min(1, len(metrics) - 1)]
            raise InputError(f"--slo: '{part}' is not METRIC=TIME with {known}, such as {first}=30ms")
        found[f"{name}_s"] = seconds("--slo", value)
    return found


def _write_html(target: str, found: Any, limits: dict[str, float]) -> None:
    from perfmodel.reports.sweep import sweep_html

    notes = [f"left out: {plan}: {reason}" for plan, reason in found.problems[:5]]
    report = {"schema": SCHEMA, "version": __version__, "model": found.model, "device": found.device,
              "axes": found.axes, "sample": found.sample, "rows": list(found.rows()), "slo": limits,
              "notes": notes}  # fmt: skip
    write_page(target, sweep_html(report), report)


def _best(rows: list[dict[str, Any]], limits: dict[str, float], axes: Collection[str]) -> None:
    from perfmodel.reports.sweep import best_point, meets

    fitting = [row for row in rows if row.get("fits") is not False]
    able = sum(meets(row, limits) for row in fitting)
    best = best_point(fitting, limits)
    if best is None:
        note(f"none of the {len(rows):,} points keeps the service level")
        return
    varied = [name for name in axes if len({str(row.get(name)) for row in rows}) > 1]
    at = ", ".join(f"{name.removesuffix('_tokens')} {best[name]}" for name in varied) or "the only one"
    note(f"{able:,} of {len(rows):,} points keep the service level; most throughput a device: {at}")


def _print(rows: list[dict[str, Any]], points: int, further: tuple[str, ...], sample: str) -> None:
    if not rows:
        note("no point has an answer")
        return
    named = (*further, *_AXES)
    axes = [name for name in named if len({row.get(name) for row in rows}) > 1] or ["batch"]
    metrics = [name for name in _SHOWN if name in rows[0]]
    heading = [*axes, *(of_samples(_SHOWN[name][0], sample) for name in metrics)]
    cells = [[*(_word(row[a]) for a in axes), *(_scaled(row[m], _SHOWN[m][1]) for m in metrics)] for row in rows]
    print_columns([heading, *cells], numbers=range(len(heading)))
    if len(rows) == MOST_SHOWN < points:
        note(f"{len(rows)} of {points:,} points; --csv FILE writes all")


def _word(value: Any) -> str:
    return value if isinstance(value, str) else short(value)


def _scaled(value: float | None, factor: float) -> str:
    return "" if value is None else short(value * factor)

"""``perfmodel estimate``: one question, one answer."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.kinds import is_network
from perfmodel.cli.output import note, one_stdout, print_json, stamped_book, write_page
from perfmodel.cli.plain import PlannedCommand, examples, new_app
from perfmodel.cli.question import changes, lengths, options, pools, refuse_plan_beside_pools

app = new_app()


def _pool_words(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="FIELD=N,..", help=help_text)


def _count(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="N", help=help_text)


@app.command(
    cls=PlannedCommand,
    epilog=examples(
        "estimate llama-3.1-8b --on h100-sxm --batch 8 --input 2048 --output 256",
        "estimate qwen3-235b-a22b --on h200-sxm --tp 8 --ep 8 --precision fp8 --json",
        "estimate llama-3.1-405b --on dgx-h100 --tp 8 --pp 2 --batch 32 --usecase summarise",
        "estimate llama-3.1-70b --on b200 --prefill workers=2,tp=2 --decode tp=4",
        "estimate llama-3.1-8b --on h100-sxm --set device.memory.main.bandwidth=*2 --power-limit 500",
        "estimate ./config.json --on l40s --html report.html",
        "estimate resnet50 --on rtx-4090 --batch 128 --precision int8 --engine tensorrt",
    ),
)
def estimate(
    context: typer.Context,
    model: o.Model,
    device: o.On,
    batch: o.Batch = "1",
    input_tokens: o.Input = "",
    output_tokens: o.Output = "",
    usecase: o.UseCaseName = "",
    tp: o.Tp = "1",
    ep: o.Ep = "1",
    moe_tp: o.MoeTp = "",
    attention_dp: o.AttentionDp = "1",
    dp: o.Dp = "1",
    pp: o.Pp = "1",
    cp: o.Cp = "1",
    microbatches: o.Microbatches = "",
    sequence_parallel: o.SequenceParallel = False,
    redundant_experts: o.RedundantExperts = "",
    draft_tokens: o.DraftTokens = "",
    acceptance: o.Acceptance = "",
    cp_mode: o.CpMode = "ring",
    overlap: o.Overlap = "none",
    precision: o.Precision = "",
    moe_precision: o.MoePrecision = "",
    kv: o.Kv = "",
    phase: o.Phase = "serve",
    static: o.Static = False,
    engine: o.Engine = "",
    mode: o.Mode = "",
    routing: o.RoutingName = "uniform",
    image: o.Image = "",
    fusion: o.Fusion = "",
    layers: o.Layers = "",
    sparsity: o.Sparsity = "",
    power_limit: o.PowerLimit = "",
    price_kind: o.PriceKind = "cloud_hour",
    usd_per_hour: o.UsdPerHour = "",
    usd_per_kwh: o.UsdPerKwh = "",
    change: o.Changes = None,
    prefill: Annotated[str, _pool_words("--prefill", "Disagg: the prefill pool, such as workers=4,tp=4,ep=32.")] = "",
    decode: Annotated[str, _pool_words("--decode", "The decode pool; options of one field each:")] = "",
    prefill_workers: Annotated[str, _count("--prefill-workers", "Disagg: groups of devices that prefill.")] = "",
    prefill_tp: Annotated[str, _count("--prefill-tp", "The same options of a prefill worker.")] = "",
    prefill_ep: Annotated[str, _count("--prefill-ep", "")] = "",
    prefill_moe_tp: Annotated[str, _count("--prefill-moe-tp", "")] = "",
    prefill_attention_dp: Annotated[str, _count("--prefill-attention-dp", "")] = "",
    decode_workers: Annotated[str, _count("--decode-workers", "Disagg: groups of devices that decode.")] = "",
    decode_tp: Annotated[str, _count("--decode-tp", "The same options of a decode worker.")] = "",
    decode_ep: Annotated[str, _count("--decode-ep", "")] = "",
    decode_moe_tp: Annotated[str, _count("--decode-moe-tp", "")] = "",
    decode_attention_dp: Annotated[str, _count("--decode-attention-dp", "")] = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
    xlsx: o.XlsxFile = "",
) -> None:
    """Estimate latency, throughput and memory of a language model or another network on a device.

    Every time has a bound (no run can be faster on average), what to expect of a good implementation, and its band
    from p10 to p90.
    """
    one_stdout(json, csv)
    if is_network(context, model):
        from perfmodel.cli.network import ask as ask_network

        found = ask_network(
            model, device, batch=batch, image=image, precision=precision, layers=layers, fusion=fusion,
            sparsity=sparsity, engine=engine, dp=dp, change=change, power_limit=power_limit, price_kind=price_kind,
            usd_per_hour=usd_per_hour, usd_per_kwh=usd_per_kwh,
        )  # fmt: skip
        show(found.report(), json, csv, html, xlsx)
        return
    words = {name: value for name, value in locals().items() if name.startswith(("prefill", "decode"))}
    chosen = options(
        precision=precision, moe_precision=moe_precision, kv=kv, phase=phase, static=static, engine=engine, mode=mode,
        routing=routing, power_limit=power_limit, price_kind=price_kind, usd_per_hour=usd_per_hour,
        usd_per_kwh=usd_per_kwh,
    ) | pools(mode, words)  # fmt: skip
    plan = {"tp": tp, "ep": ep, "moe_tp": moe_tp, "attention_dp": attention_dp, "pp": pp, "cp": cp}
    refuse_plan_beside_pools(chosen, plan)
    input_tokens, output_tokens = lengths(usecase, input_tokens, output_tokens)
    from perfmodel.api import estimate as ask

    answer = ask(
        model, device, batch=batch, input_tokens=input_tokens, output_tokens=output_tokens, tp=tp, ep=ep,
        moe_tp=moe_tp or None, attention_dp=attention_dp, dp=dp, pp=pp, cp=cp, microbatches=microbatches or 0,
        sequence_parallel=sequence_parallel, redundant_experts=redundant_experts or 0,
        draft_tokens=draft_tokens or 0, acceptance=acceptance or 0.8, cp_mode=cp_mode,
        overlap=overlap, changes=changes(change), **chosen,
    )  # fmt: skip
    show(answer.report(), json, csv, html, xlsx, live=answer)


def show(report: dict[str, Any], json: bool, csv: str, html: str, xlsx: str, live: Any = None) -> None:
    """Write the files that were asked for, and the answer to standard output unless a file went there.

    ``live`` is the estimate whose workbook has formulas; without it the workbook has plain values.
    """
    if csv:
        _write_csv(csv, report)
    if html:
        from perfmodel.reports import estimate_html

        write_page(html, estimate_html(report), report)
    if xlsx:
        _write_xlsx(xlsx, report, live)
    if json:
        print_json(report)
    elif csv != "-":
        from perfmodel.reports import render_estimate

        render_estimate(report, None)


def _write_xlsx(target: str, report: dict[str, Any], live: Any) -> None:
    from perfmodel.files import write_bytes
    from perfmodel.reports.xlsx import estimate_xlsx

    if live is None:
        book = estimate_xlsx(report)
    else:
        from perfmodel.workbook import live_xlsx

        book = live_xlsx(live)
    write_bytes(target, stamped_book(book, report))
    note(f"wrote {target}")


def _write_csv(target: str, report: dict[str, Any]) -> None:
    from perfmodel.reports import estimate_columns, estimate_rows, write_csv

    write_csv(target, estimate_rows(report), estimate_columns(report), stdout=sys.stdout)
    if target != "-":
        note(f"wrote {target}")

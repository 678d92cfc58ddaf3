"""``perfmodel tco``: what a million tokens cost the owner of a machine, in dollars and in carbon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.groups import Arithmetic, Load, Split, ask
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app

app = new_app()


def _number(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="X", help=help_text)


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "tco llama-3.1-70b --on h100-sxm --tp 4 --batch 64 --purchase 30000",
        "tco llama-3.1-8b --on l40s --batch 32 --purchase 8000 --use 0.3 --usd-per-kwh 0.25 --gco2-per-kwh 50",
        "tco llama-3.1-70b --on h100-sxm --tp 4 --batch 64 --html owned.html",
    ),
)
@grouped
def tco(
    model: o.Model,
    device: o.On,
    load: Load,
    split: Split,
    arithmetic: Arithmetic,
    purchase: Annotated[str, _number("--purchase", "USD that a device costs  [default: as its file says]")] = "",
    host: Annotated[str, _number("--host", "USD of its share of server, network and rack  [default: half of it]")] = "",
    years: Annotated[str, _number("--years", "Years over which both are written off.")] = "4",
    use: Annotated[str, _number("--use", "Share of the time that it serves at this load; the rest it idles.")] = "0.6",
    usd_per_kwh: Annotated[str, _number("--usd-per-kwh", "Price of electricity.")] = "0.08",
    pue: Annotated[str, _number("--pue", "Power of the building over that of its machines.")] = "1.25",
    host_w: Annotated[str, _number("--host-w", "Watts of a device's share of the host.")] = "150",
    upkeep: Annotated[str, _number("--upkeep", "USD a device and year: space, staff, repair.")] = "1000",
    gco2_per_kwh: Annotated[str, _number("--gco2-per-kwh", "Grams of CO2 a kWh of the grid.")] = "473",
    embodied_kg: Annotated[str, _number("--embodied-kg", "Kilograms of CO2 of making a device and its host.")] = "328",
    json: o.Json = False,
    html: o.HtmlFile = "",
) -> None:
    """Show what a million output tokens cost whoever owns the machine, and their carbon.

    Capital, electricity and upkeep, at a load that holds for a share of the time; emissions of running and of making.
    The defaults are figures of the trade, not of your contract.
    """
    one_stdout(json)
    from perfmodel.serving.ownership import ownership_report

    asked = ask(model, device, load, split, arithmetic)
    terms = {"years": years, "use": use, "usd_per_kwh": usd_per_kwh, "pue": pue, "host_w": host_w,
             "usd_per_device_year": upkeep, "gco2_per_kwh": gco2_per_kwh, "embodied_kg": embodied_kg}  # fmt: skip
    report = ownership_report(asked.setup, asked.device, asked.answer, purchase, host, terms)
    give(report, (), lambda: _print(report), json=json, html=html, page="ownership.ownership_html")


def _print(report: Mapping[str, Any]) -> None:
    print(f"{report['model']} on {report['devices']} {report['device']}: {report['tokens_per_s']:,.0f} "
          f"output tokens/s, {report['power_w_per_device']:.0f} W a device\n")  # fmt: skip
    rows = [("a million output tokens", "", "share")]
    for name in ("capital", "electricity", "upkeep"):
        value = report[f"{name}_usd"]
        rows.append((name, f"${value:.4g}", f"{100 * value / report['usd']:.0f} %"))
    rows.append(("dollars", f"${report['usd']:.4g}", ""))
    for name in ("running", "embodied"):
        value = report[f"{name}_gco2"]
        rows.append((f"carbon, {name}", f"{value:.4g} g", f"{100 * value / report['gco2']:.0f} %"))
    rows += [("carbon", f"{report['gco2']:.4g} g", ""), ("electricity", f"{report['kwh']:.4g} kWh", "")]
    print_columns(rows, numbers=(1, 2))
    print("\n" + "; ".join(report["notes"]))

"""``perfmodel measure``: times kernels on this machine and calibrates its device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, one_stdout, print_json
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError, UnknownNameError, did_you_mean

app = new_app()


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "measure --quick",
        "measure --name rtx-4090 --dtype float16 --minutes 5 --html fit.html",
        "measure --name my-gpu.yaml --out my-gpu.csv",
        "measure --device-kind cpu --quick --minutes 1 --out cpu.csv",
    ),
)
def measure(
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="DEVICE",
            autocompletion=o.complete_device,
            help="The device that this is: a name, an alias or your own YAML file  [default: what the driver says]",
        ),
    ] = "",
    out: Annotated[str, typer.Option("--out", metavar="FILE.csv", help="Where the measured rows go.")] = "measured.csv",
    minutes: Annotated[str, typer.Option("--minutes", metavar="N", help="Most minutes that may pass.")] = "5",
    quick: Annotated[bool, typer.Option("--quick", help="A third of the shapes.")] = False,
    dtype: Annotated[str, typer.Option("--dtype", metavar="NAME", help="bfloat16, float16 or float32.")] = "bfloat16",
    device_kind: Annotated[
        str, typer.Option("--device-kind", metavar="cuda|cpu", help="What to time  [default: a GPU if there is one]")
    ] = "",
    calibration: Annotated[
        str,
        typer.Option(
            "--calibration", metavar="FILE", help="The calibration file  [default: in a folder of PERFMODEL_SPECS]"
        ),
    ] = "",
    json: o.Json = False,
    html: o.HtmlFile = "",
) -> None:
    """Time a grid of GEMM, attention and copies on this machine, and calibrate its device from it.

    Needs PyTorch (`pip install 'perfmodel[measure]'`). The rows go to a table in the columns of `perfmodel kernels`,
    the coefficients where `perfmodel calibrate` writes them. GPUs of AMD work too, where PyTorch is built for them.
    """
    one_stdout(json)
    from perfmodel.arguments import positive
    from perfmodel.cli.progress import progress
    from perfmodel.measuring.grid import grid
    from perfmodel.measuring.run import measure as run
    from perfmodel.measuring.run import write_rows
    from perfmodel.measuring.torch_bench import DTYPES, TorchBench

    if dtype not in DTYPES:
        raise InputError(f"unknown --dtype '{dtype}'{did_you_mean(dtype, DTYPES)} (one of {', '.join(DTYPES)})")
    if device_kind not in ("", "cuda", "cpu"):
        raise InputError(f"--device-kind is cuda or cpu, not '{device_kind}'")
    seconds = 60.0 * positive("--minutes", minutes)
    if not seconds:
        raise InputError("--minutes must be more than 0")
    bench = TorchBench(device_kind)
    device = _device(name, bench.name)
    with progress("kernels") as update:
        found = run(bench, grid(dtype, quick, bench.memory_bytes()), device, seconds, update)
    write_rows(Path(out), found.rows)
    note(f"{len(found.rows)} kernels timed in {out}; {found.not_reached} left out for time, {len(found.failed)} failed")
    for case, reason in found.failed[:5]:
        note(f"  {case.op} {' '.join(f'{k}={v}' for k, v in case.shape)}: {reason}")
    _calibrate(found, device, out, calibration, json, html, bench.source)


def _device(name: str, said: str) -> str:
    """Return the device's name or file: what the user says, or the driver; empty if the library does not know it."""
    from perfmodel.devices import load_device

    if name:
        load_device(name)
        return name
    try:
        return load_device(said).name if said else ""
    except UnknownNameError:
        return ""


def _calibrate(found: Any, device: str, out: str, calibration: str, json: bool, html: str, source: str) -> None:
    if not device:
        note(f"which device is this? `perfmodel calibrate {out} --device NAME` fits it, with a name or a YAML file")
        if json:
            print_json({"schema": "perfmodel/measure/1", "data": out, "rows": len(found.rows)})
        return
    from perfmodel.cli.calibrate import publish
    from perfmodel.fitting.spot_file import default_path, is_found
    from perfmodel.fitting.spot_report import calibrate

    report = calibrate(found.rows, device)
    path = Path(calibration) if calibration else default_path(report.device)
    publish(report, out, path, json, html, found=is_found, sources={"measured": source})

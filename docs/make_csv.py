"""Write docs/csv.md: the columns of every table that commands write, from their own header rows.

python docs/make_csv.py
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from perfmodel.cli import run

HERE = Path(__file__).resolve().parent


class Table(NamedTuple):
    """A command that writes a table: what a row is, its words (``{out}`` is the file), and an input file's rows."""

    title: str
    row: str
    words: str
    given: str = ""


TABLES = (
    Table("estimate, ops", "an operator of a phase, all its repetitions together (`ops`: without the scenario)",
          "estimate llama-3.1-8b --on h100-sxm --csv {out}"),
    Table("estimate, of a network", "a kernel of a network, all its repetitions together",
          "estimate resnet50 --on h100-sxm --csv {out}"),
    Table("sweep", "a point of the grid; an axis that is swept (`device.power`, `precision`) is a column too",
          "sweep llama-3.1-8b --on h100-sxm --batch 1,2 --csv {out}"),
    Table("sweep, of a network", "a point of the grid", "sweep resnet50 --on h100-sxm --batch 1,2 --csv {out}"),
    Table("run", "a row of the table given, its own columns first", "run {given} --out {out}",
          "model,device\nllama-3.1-8b,h100-sxm\n"),
    Table("kernels", "a row of the table given, its own columns first", "kernels {given} --out {out}",
          "op,device,dtype,m,n,k\ngemm,h100-sxm,bfloat16,1,128,128\n"),
    Table("validate, kernels", "a measured figure; `--by` columns of the table given come first",
          "validate {given} --csv {out}",
          "op,device,dtype,timing,m,n,k,latency_us\ngemm,h100-sxm,bfloat16,cuda_graph,1,128,128,9\n"),
    Table("plan", "a plan on the Pareto front at a load", "plan llama-3.1-8b --on h100-sxm --rate 1 --csv {out}"),
    Table("simulate", "a request", "simulate llama-3.1-8b --on h100-sxm --rate 1 --csv {out}"),
    Table("workflow run", "a run of the workflow",
          "workflow run rag-answer llama-3.1-8b --on h100-sxm --rate 1 --runs 9 --csv {out}"),
    Table("cascade", "a share of escalated answers",
          "cascade llama-3.1-8b llama-3.1-70b --on h100-sxm --tp 4 --csv {out}"),
)  # fmt: skip

MEANINGS = {
    "model": "model's name", "device": "device's name", "batch": "requests in flight (networks: samples at once)",
    "input_tokens": "tokens of a prompt", "output_tokens": "tokens generated for a request",
    "phase": "prefill or decode; of a network its name in the pipeline", "name": "operator's name",
    "block": "block of the network", "part": "part of the model", "kind": "kind of operator",
    "dtype": "precision that it runs in", "precision": "precision of the linear layers",
    "repeat": "how often it runs in a step", "flops": "floating-point operations, a multiply-add being 2",
    "bytes": "bytes moved", "link_bytes": "bytes sent to other devices",
    "arithmetic_intensity_flops_per_byte": "flops over bytes", "behind": "what communication hides behind",
    "share": "share of the phase's expected time", "bottleneck": "compute, memory or link",
    "algorithm": "how a collective is done", "compute_s": "least time of the arithmetic",
    "memory_s": "least time of the memory", "link_s": "least time of the links",
    "ttft": "time to first token", "tpot": "mean time per output token after the first",
    "e2e": "time from arrival to the last token", "tbt": "time between two tokens that 99 of 100 stay within",
    "latency": "time of a batch (of an operator)", "tokens_per_s": "output tokens a second of the deployment",
    "tokens_per_s_per_device": "the same over its devices", "tokens_per_s_per_user": "tokens a second that a user sees",
    "requests_per_s": "finished requests a second", "joules_per_token": "energy of an output token, without the host",
    "power_w_per_device": "mean power of a device", "usd_per_million_tokens": "price of a million output tokens",
    "usd_per_million_input_tokens": "the part of the input", "usd_per_million_output_tokens": "the part of the output",
    "memory_bytes_per_device": "memory used on the fullest device", "memory_gb_per_device": "the same in 1e9 bytes",
    "largest_batch": "most requests (samples) that memory holds", "fits": "whether memory suffices",
    "samples_per_s": "samples a second", "samples_per_s_per_device": "the same over its devices",
    "joules_per_sample": "energy of a sample", "usd_per_million_samples": "price of a million samples",
    "cycles": "clocks of an array, where an engine counts them", "utilisation": "share of an array's peak",
    "error": "why the row has no answer", "metric": "what was measured, with its unit",
    "published": "the figure that was measured", "predicted": "what to expect of it here",
    "low": "p10 of the prediction", "high": "p90 of the prediction", "bound": "what no run can beat",
    "ratio": "predicted time over published time", "over_bound": "published time over the bound",
    "in_band": "whether it lies between p10 and p90", "beats_bound": "whether it beats the bound by more than 1 %",
    "plan": "the plan in words", "load": "requests a second asked for", "devices": "devices of the deployment",
    "tp": "tensor parallelism", "pp": "pipeline stages", "cp": "context parallelism", "ep": "expert parallelism",
    "attention_dp": "groups of attention", "moe_tp": "tensor parallelism of experts", "dp": "whole replicas",
    "request": "number of the request", "arrival_s": "when it arrived",
    "preemptions": "how often it lost its memory and began again",
    "found_tokens": "tokens of the input that a prefix cache had", "op": "operator", "timing": "how it was timed",
    "run": "number of the run", "answer": "time to the first token of its last call", "calls": "calls of models",
    "cached_tokens": "tokens of the prompts that were cached", "usd_of_tools": "what its tools cost",
    "escalated": "part of the small model's answers that the large one gives again",
    "usd_per_request": "price of a request",
    "m": "rows of a matrix product", "n": "its columns", "k": "its inner length",
}  # fmt: skip
_UNITS = {
    "s": "s", "us": "us", "ms": "ms", "bytes": "B", "flops_per_byte": "flop/B", "per_s": "1/s", "w_per_device": "W",
    "gb_per_device": "GB", "bytes_per_device": "B", "joules_per_token": "J", "joules_per_sample": "J",
    "flops": "flop",
}  # fmt: skip
_BANDS = {
    "_bound": "what no run can beat", "_p10": "one in ten is faster", "_p90": "nine in ten are faster",
}  # fmt: skip
_HEAD = """# CSV files

Every table is UTF-8 without a mark at its start, with commas, one header row, `\\n` at the end of lines, and quotes
only around cells that need them. Numbers have a point and no separators; names end in the unit, and ratios have none.
Truth is `true` or `false` (`run`: `True` or `False`), and what is not known or not asked for is an empty cell, never
zero. A name that ends in `.gz` is zipped.

**Safe to open.** A cell that is text and begins with `=`, `+`, `-`, `@`, a tab or a line end would run as a formula in
a spreadsheet; it gets an apostrophe before it. That holds for names of models, carried columns, header cells and
reasons in `error`. Numbers are left alone (`-1.5` stays), and so is every other text, to the byte. In `.xlsx` files
texts are stored as texts, which nothing evaluates.

`run` and `kernels` carry unknown columns through; one that has the name of an output comes back as `measured_NAME`. How
their input columns are named: `perfmodel run --help`, `perfmodel kernels --help`.

This page is written from the header rows of the commands below, and a test compares the two:

    python docs/make_csv.py
"""


def page() -> str:
    """Return the page, with the header rows as they are now."""
    return "\n".join([_HEAD, *(line for table in TABLES for line in _section(table))])


def _section(table: Table) -> Iterator[str]:
    given = f" ({_inline(table.given)})" if table.given else ""
    words = table.words.format(out="FILE.csv", given="TABLE.csv")
    yield f"## {table.title}\n"
    yield f"A row is {table.row}: `perfmodel {words}`{given}.\n"
    yield "| column | unit | meaning |"
    yield "| --- | --- | --- |"
    own = table.given.partition("\n")[0].split(",") if table.words.startswith(("run", "kernels")) else []
    columns = header(table)
    for column in columns:
        if column not in own:
            yield f"| `{column}` | {unit(column)} | {meaning(column, columns)} |"
    yield ""


def _inline(text: str) -> str:
    return "TABLE.csv: " + ", ".join(f"`{line}`" for line in text.strip().splitlines())


def header(table: Table) -> Sequence[str]:
    """Return the header row that a command writes."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "given.csv", Path(folder) / "out.csv"
        given.write_text(table.given, encoding="utf-8")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(table.words.format(given=given, out=out).split())
        if code:
            raise RuntimeError(f"perfmodel {table.words} ends with {code}: {said.getvalue()}")
        with out.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file))


def unit(column: str) -> str:
    """Return the unit that a column's name ends in."""
    ends = sorted((end for end in _UNITS if re.search(rf"(^|_){end}$", column)), key=len)
    return _UNITS[ends[-1]] if ends else "USD" if column.startswith("usd") else ""


def meaning(column: str, columns: Sequence[str]) -> str:
    """Return what a column is, of a time with a band also which of its answers.

    Errors: KeyError for one that :data:`MEANINGS` lacks.
    """
    if column in MEANINGS:
        return MEANINGS[column]
    bare = re.sub(r"_(s|us|ms)$", "", column)
    for end, words in _BANDS.items():
        if bare.endswith(end) or bare == end[1:]:
            stem = bare.removesuffix(end)
            return f"{MEANINGS[stem]}: {words}" if stem in MEANINGS and stem != bare else f"time: {words}"
    if bare == "expected":
        return "expected time"
    banded = any(other.startswith((f"{bare}_p90", "p90_")) for other in columns)
    return f"{MEANINGS[bare]}: expected" if banded else MEANINGS[bare]


if __name__ == "__main__":
    (HERE / "csv.md").write_text(page(), encoding="utf-8")

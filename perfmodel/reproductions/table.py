"""All reproductions as one page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COMMAND = "perfmodel reproduce --all --markdown docs/reproductions.md"
_HEAD = f"""# Published results, derived again

Written by `{COMMAND}`; do not edit.

A number of *ours* is computed by the formulas when the command runs, from the inputs below each title: *paper* are
those that the source states, *ours* those that we assume.
Assumptions were made knowing the published figures; where another reading was tried, its outcome is said beside it.
A ratio is ours over published (of a range: over its nearest end, 1 within it). It *agrees* within 1.25 times, is *near*
within 2, and is otherwise a *miss*; what does not agree has its reason. *ours* alone: nothing was published, or nothing
that we could read. "Up to" figures are envelopes. How a file is written: [below](#a-file).
"""
_TAIL = """
## A file

A reproduction is a file of `workloads/reproductions/`; `perfmodel reproduce my-file.yaml` takes one of your own.

```yaml
schema: reproduction/1
name: my-paper                       # the file's name
title: "What is published"
conditions: "on what, with what"
paper:                               # inputs that the paper states
  source: paper
  model: llama-3.1-8b
ours:                                # what we assume, with the reason
  source: assumed
  batch: {value: 16, note: "not stated"}
parts:                               # questions to the package; $name is an input, take: inputs of the same names
  fp16: {kind: estimate, take: model batch, device: h100-sxm, phase: decode}
  int4: {kind: estimate, take: model batch, device: h100-sxm, phase: decode, precision: int4_wo}
let:
  gain: fp16.tpot_s.expected/int4.tpot_s.expected
results:
  - name: gain
    quantity: "speed-up of 4-bit weights"
    unit: x
    published: {value: 2.8, source: paper}
    ours: gain
    expected_ratio: 0.9              # where good: a test holds it; where not: reason
sources:
  paper: {title: "...", url: "...", verified: true}
  assumed: {title: "assumed by us", verified: false}
```

Kinds of parts: KINDS. Their numbers are those of the commands' JSON; `each: batch` asks once for each item of a list.
A number in a part or an expression must be an input, which has a source.
"""


def markdown(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> str:
    """Return the page: what agrees and what misses, every result in one table, then the inputs of each."""
    counts = {word: sum(row["verdict"] == word for row in rows) for word in ("agrees", "near", "miss", "ours")}
    names = list(dict.fromkeys(row["name"] for row in rows))
    said = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [_HEAD, f"{len(names)} reproductions, {len(rows)} figures: {said}.", ""]
    lines += ["| | quantity | published | ours | ratio | |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        ours = number_text(row["ours"]) + _unit(row)
        link = f"[{row['name']}](#{row['name']})"
        cells = (link, row["quantity"], published_text(row), ours, ratio_text(row), row["verdict"])
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    for name in names:
        lines += _section([row for row in rows if row["name"] == name])
    kinds_text = ", ".join(f"`{kind}`" for kind in kinds)
    return "\n".join(lines) + "\n" + _TAIL.replace("KINDS", kinds_text)


def _section(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    first = rows[0]
    lines = [
        "",
        f"## {first['name']}",
        "",
        f"{first['title']}. {first['conditions'] if len(rows) == 1 else _common(rows)}",
        "",
    ]
    for whose in ("paper", "ours"):
        listed = [_input(one) for one in first["inputs"][whose]]
        if listed:
            lines += [f"- {whose}: {'; '.join(listed)}"]
    stated = [text for text in first["assumptions"] if text not in _assumed(first)]
    lines += [f"- assumed: {text}" for text in stated]
    lines += [
        f"- {row['quantity']} ({row['verdict']}, {ratio_text(row)}): {row['reason']}" for row in rows if row["reason"]
    ]
    cited = list(dict.fromkeys(row["source"] for row in rows if row["source"]))
    unread = any(row["source_verified"] is False for row in rows)
    if cited:
        lines += [f"- published in {'; '.join(cited)}" + (" (not looked up)" if unread else "")]
    return lines


def _common(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the conditions that all results of a reproduction share: those of the file."""
    texts = [row["conditions"] for row in rows]
    shortest = min(texts, key=len)
    while shortest and not all(text.startswith(shortest) for text in texts):
        shortest = shortest.rpartition("; ")[0]
    return shortest


def _assumed(row: Mapping[str, Any]) -> list[str]:
    """Return the assumptions that are inputs, which are listed as such."""
    return row["assumptions"][: len(row["inputs"]["ours"])]


def _input(one: Mapping[str, Any]) -> str:
    value = ", ".join(map(str, one["value"])) if isinstance(one["value"], list) else one["value"]
    return f"{one['name']} {value}" + (f" ({one['note']})" if one["note"] else "")


def published_text(row: Mapping[str, Any]) -> str:
    """Return what is published as a text with its unit."""
    found = row["published"]
    if found is None:
        return "-"
    if not isinstance(found, Mapping):
        return number_text(found) + _unit(row)
    ends = {name: number_text(end) for name, end in found.items()}
    if len(ends) == 2:
        return f"{ends['low']} to {ends['high']}{_unit(row)}"
    return (f"at least {ends['low']}" if "low" in ends else f"at most {ends['high']}") + _unit(row)


def ratio_text(row: Mapping[str, Any]) -> str:
    """Return the ratio with three digits."""
    return "-" if row["ratio"] is None else f"{row['ratio']:.3g}"


def number_text(value: float) -> str:
    """Return a number in four digits, thousands parted."""
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def _unit(row: Mapping[str, Any]) -> str:
    return f" {row['unit']}" if row["unit"] else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

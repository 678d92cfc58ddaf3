"""Multi-head latent attention against grouped queries, as the context grows to 128k tokens."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, grows, power_of_two, times, view
from perfmodel.reports.drawing import Axis, Bar, Line, Part, bars, lines
from perfmodel.reports.text import percent, seconds, size
from perfmodel.reports.views.style import BLUE, ORANGE

_DEVICE, _OUTPUT, _BATCH = "h200-sxm", 512, 8
_CONTEXTS = (4096, 8192, 16384, 32768, 65536, 131072)
_CASES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("deepseek-v3", "MLA", {"attention_dp": 8, "ep": 8}, "attention by sequence"),
    ("deepseek-v3", "MLA", {"tp": 8}, "attention by head"),
    ("qwen3-235b-a22b", "GQA", {"tp": 4, "attention_dp": 2, "ep": 8}, "attention by head"),
    ("llama-3.1-405b", "GQA", {"tp": 8}, "attention by head"),
)


def ask() -> Rows:
    """Return for each model and split: cache bytes, sequences that fit, and the decode step by context."""
    from perfmodel.api import estimate
    from perfmodel.workloads.library import load_model
    from perfmodel.workloads.parameters import kv_bytes_per_token

    rows: list[dict[str, Any]] = []
    for model, kind, plan, split in _CASES:
        steps: list[tuple[int, float, float]] = []
        fits = 0.0
        for context in _CONTEXTS:
            e = estimate(model, _DEVICE, batch=_BATCH, input_tokens=context - _OUTPUT, output_tokens=_OUTPUT,
                         phase="decode", precision="fp8", kv_precision="fp8", **plan)  # fmt: skip
            found = e.operator_rows()
            spent = sum(r["expected_s"] for r in found if r["kind"] in ("attention_decode", "mla_decode"))
            assert e.tpot_s is not None
            steps.append((context, e.tpot_s.expected, spent / sum(r["expected_s"] for r in found)))
            fits = float(e.answer.most_running) * e.setup.replicas
        per_token = kv_bytes_per_token(load_model(model), 1.0)
        rows.append({"model": model, "kind": kind, "split": split, "plan": " ".join(f"{k} {v}" for k,
            v in plan.items()),
                     "kv_bytes_per_token": per_token, "steps": steps, "fit": fits})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: whose cache is smaller, and what the split makes of it."""
    least = min(rows, key=lambda r: r["kv_bytes_per_token"])
    most = max(rows, key=lambda r: r["kv_bytes_per_token"])
    best, worst = max(rows, key=lambda r: r["fit"]), min(rows, key=lambda r: r["fit"])
    longest = power_of_two(rows[0]["steps"][-1][0])
    ratio = most["kv_bytes_per_token"] / least["kv_bytes_per_token"]
    finding = (
        f"{least['kind']} keeps the smallest cache: {size(least['kv_bytes_per_token'])} a token in {least['model']}, "
        f"{most['model']} ({most['kind']}) {times(ratio)} as much. But how the cache is split decides: of {longest} "
        f"tokens, eight {_DEVICE} hold {best['fit']:.0f} sequences of {_name(best)} and {worst['fit']:.0f} of "
        f"{_name(worst)}.{_twin(rows)}"
    )
    return Told(
        finding,
        [_steps(rows), _caches(rows, longest)],
        (
            (f"Eight {_DEVICE}, fp8 weights and fp8 cache, {_BATCH} sequences at once, the mean step of {_OUTPUT} "
             "output "
            "tokens; the four models differ in much else, so compare shapes of curves rather than heights."),
            "Sequences that fit leave room for weights, activations and the runtime.",
        ),
        [f"perfmodel estimate {m} --on {_DEVICE} --batch {_BATCH} --input {_CONTEXTS[-1] - _OUTPUT} --output {_OUTPUT} "
         f"--phase decode --precision fp8 --kv fp8 " + " ".join(f"--{k.replace('_', '-')} {v}" for k, v in plan.items())
         for m, _, plan, _ in _CASES],
    )  # fmt: skip


def _name(row: Any) -> str:
    return f"{row['model']} ({row['kind']}, {row['split']})"


def _twin(rows: Rows) -> str:
    """Return what the two splits of one model make of the same cache."""
    for one in rows:
        for other in rows:
            if one["model"] == other["model"] and one["fit"] > other["fit"] > 0:
                return (
                    f" {one['model']} holds {times(one['fit'] / other['fit'])} as many with {one['split']} as with "
                    f"{other['split']}, which copies its one latent head to every device."
                )
    return ""


def _steps(rows: Rows) -> Any:
    drawing = lines(
        "Time of a decode step by context",
        [Line(_name(r), [(c, 1e3 * t) for c, t, _ in r["steps"]]) for r in rows],
        Axis("tokens of context", log=True, write=power_of_two, named=_CONTEXTS),
        Axis("decode step, ms"),
    )
    grown = [(r["steps"][-1][1] / r["steps"][0][1], r) for r in rows]
    slow, fast = max(grown, key=lambda g: g[0]), min(grown, key=lambda g: g[0])
    said = (
        f"From {power_of_two(rows[0]['steps'][0][0])} to {power_of_two(rows[0]['steps'][-1][0])} tokens the step of "
        f"{_name(fast[1])} {grows(fast[0])}, that of {_name(slow[1])} {grows(slow[0])}."
    )
    cells = [
        (r["model"], r["split"], power_of_two(c), seconds(t), percent(share))
        for r in rows
        for c, t, share in r["steps"]
    ]
    return view("steps", "The step by context", said, drawing,
                ("model", "split", "context", "step", "attention's share"), cells, (0, 1))  # fmt: skip


def _caches(rows: Rows, longest: str) -> Any:
    drawing = bars(
        "Sequences that fit",
        [Bar(f"{r['model']}, {r['plan']}", [Part(r["kind"], r["fit"], BLUE if r["kind"] == "MLA" else ORANGE)],
             f"{r['fit']:.0f}") for r in rows],
        Axis(f"sequences of {longest} tokens that eight {_DEVICE} hold"),
    )  # fmt: skip
    cells = [(r["model"], r["kind"], r["plan"], size(r["kv_bytes_per_token"]), f"{r['fit']:.0f}") for r in rows]
    most = max(rows, key=lambda r: r["fit"])
    return view("caches", "What fits", f"{_name(most)} fits most: {most['fit']:.0f} sequences of {longest} tokens.",
                drawing, ("model", "attention", "plan", "cache a token, fp8", "sequences"), cells, (0, 1,
                2))  # fmt: skip


STORY = Story("mla-against-gqa", "What does MLA buy over grouped queries at 128k tokens?", ask, tell)

"""When weights and activations in four bits pay."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, times, view
from perfmodel.reports.drawing import Axis, Line, Mark, lines
from perfmodel.reports.text import plain, seconds

_MODEL, _DEVICE, _TP, _INPUT, _OUTPUT = "llama-3.1-70b", "b200", 2, 2048, 256
_BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
_FORMATS = ("bfloat16", "fp8", "nvfp4")
_WORTH = 1.15
"""A gain above this is called worth the trouble: below it the error of the expected times is larger."""


def ask() -> Rows:
    """Return a decode step by batch and format, and a prefill (batch 0) of four prompts."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for precision in _FORMATS:
        shared: dict[str, Any] = {"input_tokens": _INPUT, "output_tokens": _OUTPUT, "tp": _TP, "precision": precision,
                                  "kv_precision": "fp8"}  # fmt: skip
        prompt = estimate(_MODEL, _DEVICE, batch=4, phase="prefill", **shared)
        assert prompt.ttft_s is not None
        rows.append({"precision": precision, "batch": 0, "s": prompt.ttft_s.expected, "bound_s": prompt.ttft_s.bound})
        for batch in _BATCHES:
            e = estimate(_MODEL, _DEVICE, batch=batch, phase="decode", **shared)
            assert e.tpot_s is not None
            rows.append({"precision": precision, "batch": batch, "s": e.tpot_s.expected, "bound_s": e.tpot_s.bound})
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: the gain over fp8 by batch, and where it stops being worth it."""
    gains, bounds = _gains(rows, "s"), _gains(rows, "bound_s")
    prompt = gains[0]
    decode = {batch: gain for batch, gain in gains.items() if batch}
    best = max(decode, key=lambda b: decode[b])
    worth = [batch for batch, gain in decode.items() if gain >= _WORTH]
    where = (
        "no batch"
        if not worth
        else f"batches of {min(worth)} to {max(worth)}"
        if len(worth) > 1
        else f"batch {worth[0]}"
    )
    first = "prefill" if prompt > decode[best] else "decode"
    finding = (
        f"nvfp4 gains most in {first}: prompts are read {times(prompt)} as fast as in fp8, tokens made "
        f"{times(decode[best])} as fast at best (batch {best}) and {times(decode[max(decode)])} at batch "
        f"{max(decode)}. "
        f"More than {100 * (_WORTH - 1):.0f} % faster decoding is expected at {where}."
    )
    return Told(
        finding,
        [_by_batch(decode, {b: g for b, g in bounds.items() if b}), _steps(rows)],
        (
            (f"{_MODEL} on {_TP} {_DEVICE} with tensor parallelism, {_INPUT:,} input and {_OUTPUT} output tokens, "
             "cache in "
            "fp8 throughout; prefill is four prompts."),
            ("The bound halves the bytes of weights and doubles the peak; what the expected times lose on it are "
             "launches, "
            "element-wise kernels, attention and the cache, which stay as they are."),
            "Nothing is said of accuracy.",
        ),
        [f"perfmodel estimate {_MODEL} --on {_DEVICE} --tp {_TP} --batch {best} --input {_INPUT} --output {_OUTPUT} "
         f"--phase decode --kv fp8 --precision {precision}" for precision in ("fp8", "nvfp4")],
    )  # fmt: skip


def _gains(rows: Rows, column: str) -> dict[int, float]:
    """Return how much faster nvfp4 is than fp8, by batch (0: prefill)."""
    found = {(r["precision"], r["batch"]): r[column] for r in rows}
    return {batch: found["fp8", batch] / s for (name, batch), s in found.items() if name == "nvfp4"}


def _by_batch(gains: dict[int, float], bounds: dict[int, float]) -> Any:
    drawing = lines(
        "How much faster nvfp4 decodes than fp8, by batch",
        [Line("expected", list(gains.items())), Line("bound", list(bounds.items()), dashed=True)],
        Axis("requests at once", log=True, write=plain, named=list(gains)),
        Axis("times as fast as fp8", zero=False),
        marks=[Mark("y", _WORTH, "worth it"), Mark("y", 1.0, "no gain")],
    )
    falls = gains[max(gains)] < gains[min(gains)]
    said = (
        f"The gain {'falls' if falls else 'grows'} from {times(gains[min(gains)])} to {times(gains[max(gains)])} "
        "with the batch."
    )
    cells = [(f"{batch}", f"{gain:.2f}", f"{bounds[batch]:.2f}") for batch, gain in gains.items()]
    return view("gain", "The gain by batch", said, drawing, ("batch", "expected", "bound"), cells)


def _steps(rows: Rows) -> Any:
    series = [
        Line(f, [(r["batch"], 1e3 * r["s"]) for r in rows if r["precision"] == f and r["batch"]]) for f in _FORMATS
    ]
    drawing = lines("Decode step by batch and format", series, Axis("requests at once", log=True, named=_BATCHES),
                    Axis("decode step, ms", log=True))  # fmt: skip
    prompts = {r["precision"]: r["s"] for r in rows if not r["batch"]}
    said = f"Four prompts take {', '.join(f'{seconds(s)} in {name}' for name, s in prompts.items())}."
    cells = [(r["precision"], f"{r['batch'] or 'prefill'}", seconds(r["s"]), seconds(r["bound_s"])) for r in rows]
    return view("steps", "The steps behind it", said, drawing, ("format", "batch", "expected", "bound"), cells, (0,))


STORY = Story("when-fp4-pays", "When does FP4 pay?", ask, tell)

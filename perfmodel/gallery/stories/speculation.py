"""Speculative decoding by batch."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, times, view
from perfmodel.reports.drawing import Axis, Line, Mark, lines
from perfmodel.reports.text import percent, plain

_MODEL, _DEVICE, _GROUP, _INPUT, _OUTPUT = "deepseek-v3", "h200-sxm", 16, 2048, 512
_BATCHES = (16, 64, 256, 512, 1024, 2048, 4096)
_DRAFTS = (0, 1, 2, 3)
_ACCEPTANCES = (0.6, 0.8)


def ask() -> Rows:
    """Return time per token by batch, drafted tokens and how likely one is kept."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for acceptance in _ACCEPTANCES:
        for drafts in _DRAFTS:
            for batch in _BATCHES:
                e = estimate(_MODEL, _DEVICE, batch=batch, input_tokens=_INPUT, output_tokens=_OUTPUT,
                attention_dp=_GROUP,
                             ep=_GROUP, draft_tokens=drafts, acceptance=acceptance, phase="decode")  # fmt: skip
                assert e.tpot_s is not None
                rows.append({"acceptance": acceptance, "drafts": drafts, "batch": batch, "tpot_s": e.tpot_s.expected})
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: how many tokens to draft at each load."""
    gains = _gains(rows)
    finding = " ".join(_clause(gains, acceptance) for acceptance in dict.fromkeys(r["acceptance"] for r in rows))
    views = [_view(gains, acceptance) for acceptance in dict.fromkeys(r["acceptance"] for r in rows)]
    return Told(
        finding,
        views,
        (
            (f"{_MODEL} on {_GROUP} {_DEVICE}, attention by sequence, experts by expert, drafts by the model's own "
             "module for "
            f"several tokens; {_INPUT:,} input and {_OUTPUT} output tokens, decode alone."),
            ("Each draft is kept with the stated chance as long as all before it were; a step verifies all drafts at "
            "once."),
        ),
        [f"perfmodel estimate {_MODEL} --on {_DEVICE} --attention-dp {_GROUP} --ep {_GROUP} --batch 64 --input "
         f"{_INPUT} "
         f"--output {_OUTPUT} --phase decode --draft-tokens {n} --acceptance 0.8" for n in (0, 3)],
    )  # fmt: skip


def _gains(rows: Rows) -> dict[tuple[float, int, int], float]:
    """Return how much faster a token comes than without drafts, by acceptance, drafts and batch."""
    plain_s = {(r["acceptance"], r["batch"]): r["tpot_s"] for r in rows if not r["drafts"]}
    return {
        (r["acceptance"], r["drafts"], r["batch"]): plain_s[r["acceptance"], r["batch"]] / r["tpot_s"] for r in rows
    }


def _best(gains: dict[tuple[float, int, int], float], acceptance: float, batch: int) -> tuple[int, float]:
    found = {drafts: gain for (a, drafts, b), gain in gains.items() if a == acceptance and b == batch}
    drafts = max(found, key=lambda n: found[n])
    return drafts, found[drafts]


def _clause(gains: dict[tuple[float, int, int], float], acceptance: float) -> str:
    batches = sorted({batch for a, _, batch in gains if a == acceptance})
    (few, gain), (many, late) = (_best(gains, acceptance, b) for b in (batches[0], batches[-1]))
    begin = f"With {percent(acceptance)} of drafts kept, {few} drafts make {batches[0]} requests {times(gain)} as fast"
    if few == 0:
        begin = f"With {percent(acceptance)} of drafts kept, drafting gains nothing even for {batches[0]} requests"
    if many == 0:
        return f"{begin}; for {batches[-1]} it is best not to draft."
    return f"{begin}; for {batches[-1]} {'one is' if many == 1 else f'{many} are'} best, {times(late)} as fast."


def _view(gains: dict[tuple[float, int, int], float], acceptance: float) -> Any:
    batches = sorted({batch for a, _, batch in gains if a == acceptance})
    drafts = sorted({n for a, n, _ in gains if a == acceptance and n})
    drawing = lines(
        f"How much faster a token comes, by batch, {percent(acceptance)} kept",
        [Line(f"{n} drafted", [(b, gains[acceptance, n, b]) for b in batches]) for n in drafts],
        Axis("requests at once on 16 GPUs", log=True, named=batches, write=plain), Axis("times as fast", zero=False),
        marks=[Mark("y", 1.0, "no drafts")],
    )  # fmt: skip
    cells = [
        (f"{b}", *(f"{gains[acceptance, n, b]:.2f}" for n in drafts), f"{_best(gains, acceptance, b)[0]}")
        for b in batches
    ]
    headers = ("requests", *(f"{n} drafted" for n in drafts), "best")
    chosen = [(b, _best(gains, acceptance, b)[0]) for b in batches]
    runs = [chosen[i] for i in range(len(chosen)) if i == 0 or chosen[i][1] != chosen[i - 1][1]]
    said = "Best: " + ", ".join(f"{n} from {b} requests" for b, n in runs) + "."
    return view(f"kept-{100 * acceptance:.0f}", f"{percent(acceptance)} of drafts kept", said, drawing, headers, cells)


STORY = Story("speculation-by-batch", "How many tokens should be drafted, at which load?", ask, tell)

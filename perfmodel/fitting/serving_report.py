"""What the fit of serving frameworks prints and writes: honest errors beside the rival's, bands and the calibration."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perfmodel.fitting.serving import ENGINES, NARROW, PRIORS, Features, Fitted

METRICS = ("ttft", "tpot")
TABLES = ("mode", "engine", "device", "model", "precision")


def calibration(frame: Any, held: Any, ratio: Any, left: Mapping[str, Any], final: Fitted) -> dict[str, Any]:
    """Return the calibration file's mapping: rules of the final fit, bands and errors of what was not fitted on."""
    return {
        "schema": "calibration/1",
        "operator": "serving",
        "form": "closed_loop/2",
        "data": "ai-dynamo/aiconfigurator serving runs (commit 095f58a5, Apache-2.0), derived and de-duplicated",
        "date": datetime.date(2026, 11, 21).isoformat(),
        "split": "coefficients on all rows; bands from shapes held out and from each model and each device left out",
        "errors": {
            "held_out_shapes": _line(ratio, held),
            **{f"left_out_{'model' if n == 'config' else n}": _line(r, _every(frame)) for n, r in left.items()},
        },
        "rules": _rules(final),
        "bands": bands(frame, unseen(frame, held, ratio, left)),
    }


def unseen(frame: Any, held: Any, ratio: Any, left: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return (measured/predicted, which rows) of each way in which a row was not seen by the fit."""
    return {"held out": (1 / ratio, held)} | {f"{n} left out": (1 / r, _every(frame)) for n, r in left.items()}


def bands(frame: Any, ways: Mapping[str, tuple[Any, Any]], least: int = 40) -> list[dict[str, Any]]:
    """Return p10 and p90 of measured/expected by metric and engine, over all ways of not being seen alike."""
    import numpy as np

    found: list[dict[str, Any]] = []
    for index, metric in enumerate(METRICS):
        for engine in ("", *ENGINES):
            own = (frame.engine == engine).to_numpy() | (engine == "")
            parts = [ratio[index, rows & own] for ratio, rows in ways.values()]
            if min(len(part) for part in parts) < least:
                continue
            # each way counts the same, however many rows it has
            pooled = np.concatenate([np.quantile(part, np.linspace(0.0, 1.0, 1001)) for part in parts])
            low, high = np.quantile(pooled, [0.1, 0.9])
            when = {"metric": metric} | ({"engine": engine} if engine else {})
            found.append({"when": when, "set": {"p10": float(min(low, 1.0)), "p90": float(max(high, 1.0))}})
    return found


def _rules(final: Fitted) -> list[dict[str, Any]]:
    together = final.together
    bare = {
        "decode_stretch": 1.0, "decode_host_us": 0.0, "prefill_stretch": 1.0, "prefill_host_us": 0.0,
        "first_host_us": 0.0, "mix_share": max(together["mix_share"], 1.0), "queue_share": together["queue_share"],
    }  # fmt: skip
    names = [name for name in PRIORS if name not in ("narrow_stretch", "pool_queue_share")]
    rules: list[dict[str, Any]] = [
        {"note": "bare: kernels alone, requests in bursts as all engines' runs have them", "set": bare}
    ]
    for engine in ("", *ENGINES):
        own = final.engines.get(engine, together)
        rules.append({"when": {"engine": engine or list(ENGINES)}, "set": {name: own[name] for name in names}})
    for engine in ENGINES:
        scale = {"decode_stretch": final.engines[engine]["narrow_stretch"]}
        rules.append({"when": {"engine": engine, "dtype": NARROW}, "scale": scale})
    pooled = {"queue_share": together["pool_queue_share"]}
    rules.append({"when": {"mode": "disagg", "engine": list(ENGINES)}, "set": pooled})
    return rules


def print_report(
    frame: Any, f: Features, held: Any, ratio: Any, left: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> None:
    """Print the errors of fit, held-out shapes and left-out models and devices, by group, the rival's beside them."""
    print("MAPE/median/bias in %; the rival's on the rows that it answers, ours on the same rows beside it")
    print(f"{'fit':26s} {_line(ratio, ~held)}")
    print(f"{'held-out shapes':26s} {_line(ratio, held)}")
    tables = {"held-out shapes": (ratio, held)} | {
        f"each {'model' if name == 'config' else name} left out": (value, _every(frame)) for name, value in left.items()
    }
    for title, (value, unseen_rows) in tables.items():
        print(f"\n{title}")
        for label, rows in _groups(frame, f):
            if (chosen := rows & unseen_rows).any():
                print(f"{label:50s} n {int(chosen.sum()):5d}  {_beside(frame, value, chosen)}")
    print("\ncoverage of the 80 % band, median p90/p10")
    for name, (value, rows) in unseen(frame, held, ratio, left).items():
        print(f"{name:20s} " + "  ".join(_coverage(frame, value, rows, found)))


def _groups(frame: Any, f: Features) -> Iterator[tuple[str, Any]]:
    yield "all", _every(frame)
    yield "more requests than memory holds", f.in_flight > f.running
    for column in TABLES:
        for value in sorted(frame[column].dropna().unique()):
            yield f"{column} {value}", (frame[column] == value).to_numpy()
    keys = ["mode", "engine", "model", "device", "precision"]
    for values, rows in frame.groupby(keys).indices.items():
        mask = ~_every(frame)
        mask[rows] = True
        yield " ".join(str(v).split("/")[-1].removeprefix("Meta-") for v in values), mask


def _every(frame: Any) -> Any:
    import numpy as np

    return np.ones(len(frame), bool)


def _errors(values: Any) -> str:
    import numpy as np

    off = 100 * (np.asarray(values, dtype=float) - 1)
    if not len(off):
        return "    -/    -/     -"
    return f"{np.abs(off).mean():5.1f}/{np.median(np.abs(off)):5.1f}/{off.mean():+6.1f}"


def _line(ratio: Any, rows: Any) -> str:
    return "  ".join(f"{m.upper()} {_errors(r[rows])}" for m, r in zip(METRICS, ratio, strict=True))


def _beside(frame: Any, ratio: Any, rows: Any) -> str:
    import numpy as np

    parts: list[str] = []
    for metric, ours in zip(METRICS, ratio, strict=True):
        rival = (frame[f"rival_silicon_{metric}_ms"] / frame[f"measured_{metric}_ms"]).to_numpy()
        both = rows & np.isfinite(rival)
        text = f"{metric.upper()} {_errors(ours[rows])}"
        parts.append(f"{text} | same {_errors(ours[both])} rival {_errors(rival[both])}")
    return "   ".join(parts)


def _coverage(frame: Any, value: Any, rows: Any, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    import numpy as np

    for index, metric in enumerate(METRICS):
        limits = np.array([_band(found, metric, engine) for engine in frame.engine[rows]])
        inside = (value[index, rows] >= limits[:, 0]) & (value[index, rows] <= limits[:, 1])
        yield f"{metric.upper()} {100 * inside.mean():.0f} % {np.median(limits[:, 1] / limits[:, 0]):.2f}"


def _band(found: Sequence[Mapping[str, Any]], metric: str, engine: str) -> tuple[float, float]:
    chosen = (1.0, 1.0)
    for rule in found:
        if rule["when"]["metric"] == metric and rule["when"].get("engine", engine) == engine:
            chosen = rule["set"]["p10"], rule["set"]["p90"]
    return chosen

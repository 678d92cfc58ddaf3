"""Helpers of every fit: the split by shape, the error table and the writer of calibration files."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HELD_OUT_SHARE = 0.30


def shape_split(frame: Any, columns: Sequence[str]) -> Any:
    """Return a bool array, true for the 30 % of rows held out by a hash of the shape in ``columns``.

    The hash sees neither device, backend nor dtype, so a held-out shape is held out everywhere.
    """
    import numpy as np

    texts = frame[list(columns)].astype(str).agg("|".join, axis=1)
    held = {text: zlib.crc32(text.encode()) % 1000 < 1000 * HELD_OUT_SHARE for text in texts.unique()}
    return np.array([held[text] for text in texts], dtype=bool)


def error_table(frame: Any, ratio: Any, by: Sequence[str]) -> Any:
    """Return n, MAPE, median of ``|expected/measured - 1|`` and bias (in %) by the columns ``by`` and overall."""
    import numpy as np
    import pandas as pd

    work = frame[list(by)].fillna("").assign(off=100 * (np.asarray(ratio) - 1))

    def row(part: Any) -> Any:
        off = part["off"]
        return pd.Series({"n": len(off), "mape": off.abs().mean(), "median": off.abs().median(), "bias": off.median()})

    rows = {(key if isinstance(key, tuple) else (key,)): row(part) for key, part in work.groupby(list(by))}
    rows[("all", *[""] * (len(by) - 1))] = row(work)
    table = pd.DataFrame(rows).T.round(1)
    table.index.names = list(by)
    return table


def rounded(value: Any, digits: int = 4) -> Any:
    """Return the value with every float in it rounded to significant digits."""
    if isinstance(value, Mapping):
        return {str(k): rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        short = float(f"{value:.{digits}g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    return value


def write_calibration(path: Path | str, mapping: Mapping[str, Any]) -> None:
    """Write a calibration file, and the folder that it is in: see :func:`calibration_text`."""
    from perfmodel.files import write_text

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, calibration_text(mapping))


def calibration_text(mapping: Mapping[str, Any]) -> str:
    """Return a calibration file's text: plain YAML, numbers of 4 significant digits, keys in the order given."""
    return "\n".join(_block(rounded(mapping), 0)) + "\n"


_FLOW_WIDTH = 116


def _block(value: Any, indent: int) -> list[str]:
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                flow = _flow(item)
                nested = isinstance(item, list) and any(isinstance(i, (dict, list)) for i in item)
                if not nested and indent > 0 and len(pad + key + flow) < _FLOW_WIDTH:
                    lines.append(f"{pad}{key}: {flow}")
                else:
                    lines.append(f"{pad}{key}:")
                    lines += _block(item, indent + 2)
            else:
                lines.append(f"{pad}{key}: {_flow(item)}")
    else:
        for item in value:
            flow = _flow(item)
            if not isinstance(item, dict) or len(pad + flow) < _FLOW_WIDTH:
                lines.append(f"{pad}- {flow}")
            else:
                inner = _block(item, indent + 2)
                lines.append(f"{pad}- {inner[0].lstrip()}")
                lines += inner[1:]
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    if isinstance(value, str):
        plain = (
            value and value.replace("_", "a").replace("-", "a").replace(".", "a").isalnum() and not value[0].isdigit()
        )
        return (
            value
            if plain and value not in ("true", "false", "null", "yes", "no", "on", "off")
            else '"' + value.replace('"', "'") + '"'
        )
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")  # YAML 1.2 floats need the point
    return str(value)


Levels = Sequence[tuple[tuple[str, ...], float]]
Specification = Mapping[str, tuple[float, Levels]]
"""Coefficient -> (start, levels): each level is (key columns, prior spread of its factor, as a ln-scale sigma)."""


class Shrunken:
    """Coefficients as products: a shared value times a factor for each level (family, backend, dtype, device ...).

    ``ln c(row) = theta_shared + sum over levels theta_level[value of its key columns]``. Every factor is drawn to 1
    by a normal prior of the level's spread, so one that few rows support stays near its family. A row with nothing in
    a key column has no factor of that level.
    """

    def __init__(self, frame: Any, specification: Specification, starts: Mapping[Any, float] | None = None) -> None:
        import numpy as np

        self.specification = specification
        self.parameters: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        spread: list[float] = []
        start: list[float] = []
        for name, (value, levels) in specification.items():
            self.parameters.append((name, (), ()))
            spread.append(np.inf)
            start.append(float(np.log(value)))
            for keys, sigma in levels:
                for values in sorted(set(frame[list(keys)].dropna().itertuples(index=False, name=None))):
                    self.parameters.append((name, keys, values))
                    spread.append(sigma)
                    start.append((starts or {}).get((name, keys, values), 0.0))
        self.spread, self.start = np.array(spread), np.array(start)

    def index(self, frame: Any) -> dict[str, list[Any]]:
        """Return, for each coefficient, arrays of parameter numbers a row (the last number: no factor)."""
        import numpy as np

        number = {parameter: i for i, parameter in enumerate(self.parameters)}
        nothing = len(self.parameters)
        found: dict[str, list[Any]] = {}
        for name, (_, levels) in self.specification.items():
            found[name] = [np.full(len(frame), number[(name, (), ())])]
            for keys, _ in levels:
                values = frame[list(keys)].itertuples(index=False, name=None)
                found[name].append(np.array([number.get((name, keys, v), nothing) for v in values]))
        return found

    @staticmethod
    def coefficients(theta: Any, index: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Return each coefficient as an array over the rows of ``index``."""
        import numpy as np

        padded = np.append(theta, 0.0)
        return {name: np.exp(sum(padded[i] for i in columns)) for name, columns in index.items()}

    def fit(self, seconds: Any, measured: Any, index: Mapping[str, list[Any]], **options: Any) -> Any:
        """Return theta that makes ``seconds(coefficients)`` fit ``measured``: see :func:`fit_log_ratios`."""
        return fit_log_ratios(self, seconds, measured, index, **options)

    def rules(self, theta: Any, expand: Any, least: float = 0.02) -> list[dict[str, Any]]:
        """Return calibration rules: the shared values, then factors further than ``least`` from 1, by situation.

        ``expand(keys, values)`` gives the ``when`` mappings that stand for a level's value.
        """
        import numpy as np

        shared = {p[0]: float(np.exp(v)) for p, v in zip(self.parameters, theta, strict=True) if not p[1]}
        by_situation: dict[Any, dict[str, float]] = {}
        for (name, keys, values), value in zip(self.parameters, theta, strict=True):
            if keys and abs(value) > least:
                by_situation.setdefault((len(keys), keys, values), {})[name] = float(np.exp(value))
        rules: list[dict[str, Any]] = [{"set": shared}]
        for _, keys, values in sorted(by_situation):
            scale = by_situation[len(keys), keys, values]
            rules.extend({"when": when, "scale": scale} for when in expand(keys, values))
        return rules


def fit_log_ratios(
    levels: Shrunken, seconds: Any, measured: Any, index: Mapping[str, list[Any]], *, start: Any = None,
    robust: float = 0.12, iterations: int = 25, noise: float = 0.17, frozen: Sequence[str] = (),
) -> Any:  # fmt: skip
    """Return the parameters of least robust cost ``sum soft_l1(ln(t/measured)) + prior`` (Levenberg-Marquardt).

    ``soft_l1(r) = 2*f^2*(sqrt(1 + (r/f)^2) - 1)/noise^2``. Like ``scipy.optimize.least_squares(loss="soft_l1")``, but
    the Jacobian of hundreds of factors comes from one difference a *coefficient*, and factors without rows stay 1.
    """
    import numpy as np

    theta = levels.start.copy() if start is None else np.array(start)
    size, rows, target = len(theta), len(measured), np.log(measured)
    counts = np.bincount(np.concatenate([i for columns in index.values() for i in columns]), minlength=size + 1)[:size]
    theta[counts == 0] = 0.0
    idle = (counts == 0) | np.array([p[0] in frozen for p in levels.parameters])
    shared = np.isinf(levels.spread)
    weight = np.where(shared, 1e-3, 1.0 / levels.spread**2)
    centre = np.where(shared, levels.start, 0.0)

    def residuals(at: Any) -> Any:
        return np.log(seconds(levels.coefficients(at, index))) - target

    def cost(r: Any, at: Any) -> float:
        data = 2 * (robust / noise) ** 2 * np.sum(np.sqrt(1 + (r / robust) ** 2) - 1)
        return float(data + np.sum(weight * (at - centre) ** 2))

    r, damping = residuals(theta), 1e-2
    now = cost(r, theta)
    for _ in range(iterations):
        base = levels.coefficients(theta, index)
        jacobian = np.zeros((rows, size + 1))
        for name, columns in index.items():
            if name not in frozen:
                slope = (np.log(seconds({**base, name: base[name] * 1.001})) - target - r) / np.log(1.001)
                for i in columns:
                    jacobian[np.arange(rows), i] += slope
        jacobian = jacobian[:, :size]
        w = 1.0 / np.sqrt(1 + (r / robust) ** 2) / noise**2
        hessian = jacobian.T @ (jacobian * w[:, None]) + np.diag(weight)
        gradient = jacobian.T @ (w * r) + weight * (theta - centre)
        hessian[idle, :], hessian[:, idle], gradient[idle] = 0.0, 0.0, 0.0
        hessian[idle, idle] = 1.0
        gain = 0.0
        for _ in range(7):
            step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), -gradient)
            trial = theta + np.clip(step, -1, 1)
            r_trial = residuals(trial)
            gain = now - cost(r_trial, trial)
            if gain > 0:
                theta, r, now, damping = trial, r_trial, now - gain, max(damping / 4, 1e-6)
                break
            damping *= 4
        if gain < 1e-4 * now:
            break
    return theta


def device_facts(name: str) -> dict[str, Any]:
    """Return the library's facts of a device as a plain mapping."""
    from dataclasses import asdict

    from perfmodel.cost.facts import chip_facts
    from perfmodel.devices import load_device

    return asdict(chip_facts(load_device(name)))


def facts_by_row(names: Any) -> Any:
    """Return :class:`ChipFacts` whose numbers are arrays over rows of devices ``names``."""
    import numpy as np

    from perfmodel.cost.facts import ChipFacts

    facts = {name: device_facts(name) for name in set(names)}
    rows = [facts[name] for name in names]
    numbers: dict[str, Any] = {
        key: np.array([row[key] for row in rows], dtype=float)
        for key, value in rows[0].items()
        if isinstance(value, (int, float))
    }
    dtypes = set.intersection(*(set(row["peaks"]) for row in rows))
    peaks = {dtype: np.array([row["peaks"][dtype] for row in rows], dtype=float) for dtype in dtypes}
    return ChipFacts(name="", vendor="", kind="gpu", architecture="", peaks=peaks, **numbers)


def leave_devices_out(frame: Any, levels: Shrunken, theta: Any, held: Any, rows_of: Any, **options: Any) -> Any:
    """Return expected/measured of every row from a fit that never saw its device.

    ``rows_of(frame)`` has ``seconds(coefficients)`` and ``measured``; the refits start at ``theta``, with ``options``
    of :func:`fit_log_ratios`.
    """
    import numpy as np

    ratio = np.full(len(frame), np.nan)
    for device in sorted(frame["device"].unique()):
        out = (frame["device"] == device).to_numpy()
        known, unseen = frame[~out & ~held].reset_index(drop=True), frame[out].reset_index(drop=True)
        rows, target = rows_of(known), rows_of(unseen)
        start = np.where([device in p[2] for p in levels.parameters], 0.0, theta)
        how = {"iterations": 8, **options, "start": start}
        refit = levels.fit(rows.seconds, rows.measured, levels.index(known), **how)
        ratio[out] = target.seconds(levels.coefficients(refit, levels.index(unseen))) / target.measured
    return ratio


def quantile_bands(
    frame: Any, held: Any, fitted: Any, left_out: Any, groups: Sequence[tuple[str, ...]], least: int = 40
) -> list[dict[str, Any]]:
    """Return band rules: p10 and p90 of measured/expected, overall and for each value of each group of columns.

    ``measured: "true"`` from the held-out shapes, ``measured: "false"`` from the devices left out.
    """
    import numpy as np

    rules: list[dict[str, Any]] = []
    for measured, part, ratio in (("false", frame, left_out), ("true", frame[held], fitted[held])):
        every: Sequence[tuple[str, ...]] = [(), *groups]
        for keys in every:
            members = part.reset_index(drop=True).groupby(list(keys)).indices if keys else {(): np.arange(len(part))}
            for values, rows in sorted(members.items()):
                if len(rows) >= least:
                    low, high = np.quantile(1.0 / ratio[rows], [0.1, 0.9])
                    names = zip(keys, values if len(keys) != 1 else (values,), strict=True)
                    band = {"p10": min(float(low), 1.0), "p90": max(float(high), 1.0)}
                    rules.append({"when": {"measured": measured, **dict(names)}, "set": band})
    return rules


def read_measured(source: str, stem: str) -> Any:
    """Return the measured rows of a class: ``source`` is a CSV file or the folder that holds ``stem.csv.gz``."""
    import pandas as pd

    path = Path(source)
    if path.is_dir():
        path = path / f"{stem}.csv.gz"
    frame = pd.read_csv(path, low_memory=False)
    frame["backend"] = frame["backend"].fillna("")
    facts = {name: device_facts(name) for name in frame["device"].unique()}
    for column in ("vendor", "kind", "architecture", "memory_kind", "matrix_pace"):
        frame[column] = [facts[name][column] for name in frame["device"]]
    return frame.reset_index(drop=True)


def three_errors(frame: Any, held: Any, fitted: Any, left_out: Any, roofline: Any, by: Sequence[str]) -> Any:
    """Print the fit, held-out, left-out-device and roofline errors by ``by`` and return the overall numbers."""
    import numpy as np

    print("expected/measured - 1 in %: MAPE, median of the absolute value, bias (median)")
    parts = {
        "fit": (~held, fitted),
        "held_out_shapes": (held, fitted),
        "left_out_device": (np.isfinite(left_out), left_out),
    }
    parts["roofline"] = (np.ones(len(frame), dtype=bool), roofline)
    numbers: dict[str, Any] = {}
    for name, (rows, ratio) in parts.items():
        table = error_table(frame[rows], ratio[rows], by)
        print(f"\n{name}\n{table.to_string()}", flush=True)
        first = error_table(frame[rows], ratio[rows], by[:1])
        numbers[name] = {
            str(key[0] if isinstance(key, tuple) else key): {"mape": float(row["mape"]), "median": float(row["median"])}
            for key, row in first.iterrows()
        }
    return numbers

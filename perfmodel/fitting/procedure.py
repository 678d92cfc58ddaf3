"""The whole of a shrunken fit: three honest errors, bands and the calibration file."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perfmodel.fitting import inspection
from perfmodel.fitting.common import error_table, shape_split, write_calibration
from perfmodel.fitting.shrinkage import Fitted, Model, Offsets, Start, fit_shrunken

Rule = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What a class's fit consists of.

    ``model_of`` turns a frame into a function of coefficient arrays; ``roofline_of`` gives its datasheet roofline in
    seconds. ``fixed`` are rules of coefficients that are not fitted. ``shape`` are the columns of the hash split.
    ``row_weight`` is the share of an independent observation that one row counts for (rows of a device err together).
    ``close_families``: architectures whose chips are alike enough that a sibling's data narrow the band.
    ``terms``: coefficients that leave a physical term out of the form, for the ablation (empty: every added time).
    ``unmeasured_tail``: quantile that p10 of an unmeasured device is drawn at, below 10 % where few were left out.
    """

    operator: str
    form: str
    data: tuple[str, ...]
    shape: tuple[str, ...]
    start: Mapping[str, Start]
    offsets: tuple[Offsets, ...]
    fixed: tuple[Rule, ...]
    model_of: Callable[[Any], Model]
    roofline_of: Callable[[Any], Any]
    table_by: tuple[str, ...]
    row_weight: float
    band_by: tuple[tuple[str, ...], ...]
    rename: Callable[[Rule], Rule] = dict
    close_families: tuple[str, ...] = ("hopper", "blackwell")
    terms: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    unmeasured_tail: float = 0.10


def read_rows(path: Path, stem: str) -> Any:
    """Return the rows of ``path`` (a CSV file, or a folder with ``<stem>.csv[.gz]``), the architecture added."""
    import pandas as pd

    from perfmodel.devices import load_device

    files = [path] if path.is_file() else sorted(path.glob(f"{stem}.csv*"))
    frame = pd.concat([pd.read_csv(file, low_memory=False) for file in files], ignore_index=True)
    for column in ("backend", "timing", "dtype"):
        frame[column] = frame[column].fillna("").astype(str)
    architectures = {name: load_device(name).architecture for name in frame["device"].unique()}
    frame["architecture"] = [architectures[name] for name in frame["device"]]
    return frame


def fixed_coefficients(rules: Sequence[Rule], frame: Any) -> dict[str, Any]:
    """Return the coefficients that ``set`` rules give each row of a frame."""
    import numpy as np

    values: dict[str, Any] = {}
    for rule in rules:
        applies = np.ones(len(frame), dtype=bool)
        for column, allowed in rule.get("when", {}).items():
            applies &= frame[column].isin(allowed if isinstance(allowed, list) else [allowed]).to_numpy()
        for name, value in rule["set"].items():
            values[name] = np.where(applies, float(value), values.get(name, np.nan))
    return values


def _bound_model(recipe: Recipe, frame: Any) -> Model:
    model, fixed = recipe.model_of(frame), fixed_coefficients(recipe.fixed, frame)
    return lambda c: model({**c, **fixed})


def _fit(recipe: Recipe, frame: Any, iterations: int = 40) -> Fitted:
    import numpy as np

    seconds, weight = frame["latency_us"].to_numpy() * 1e-6, np.full(len(frame), recipe.row_weight)
    model = _bound_model(recipe, frame)
    return fit_shrunken(frame, model, seconds, recipe.start, recipe.offsets, weight=weight, iterations=iterations)


def _ratio(recipe: Recipe, fitted: Fitted, frame: Any) -> Any:
    import numpy as np

    return np.asarray(_bound_model(recipe, frame)(fitted.coefficients(frame))) / (frame["latency_us"].to_numpy() * 1e-6)


def _left_out(recipe: Recipe, frame: Any) -> Any:
    """Return the rows with the ratio of a fit that never saw their device, and whether it saw a sibling."""
    import pandas as pd

    parts = []
    for device in sorted(frame["device"].unique()):
        rest, own = (
            frame[frame["device"] != device].reset_index(drop=True),
            frame[frame["device"] == device].reset_index(drop=True),
        )
        ratio = _ratio(recipe, _fit(recipe, rest, iterations=15), own)
        parts.append(own.assign(ratio=ratio, sibling=bool(set(own["architecture"]) & set(rest["architecture"]))))
    return pd.concat(parts, ignore_index=True)


def _band(ratio: Any, tail: float = 0.10) -> dict[str, float]:
    import numpy as np

    low, high = np.quantile(1 / np.asarray(ratio), [tail, 1 - tail])
    return {"p10": min(float(low), 1.0), "p90": max(float(high), 1.0)}


def _bands(recipe: Recipe, held: Any, left: Any) -> list[Rule]:
    close = left["sibling"] & left["architecture"].isin(recipe.close_families)
    other = left[~close] if (~close).any() else left
    by = [columns for columns in recipe.band_by if "device" not in columns]
    rules = _grouped_bands({"measured": "false"}, other, by, recipe.unmeasured_tail)
    if close.any():
        when = {"measured": "false", "architecture": list(recipe.close_families)}
        rules += _grouped_bands(when, left[close], by, recipe.unmeasured_tail)
    rules += _grouped_bands({"measured": "true"}, held, recipe.band_by)
    return [recipe.rename(rule) for rule in rules]


def _grouped_bands(
    when: Mapping[str, Any], frame: Any, groups: Sequence[tuple[str, ...]], tail: float = 0.10
) -> list[Rule]:
    """Return the band of all rows of a frame, then of each group that has enough of them."""
    rules: list[Rule] = [{"when": dict(when), "set": _band(frame["ratio"], tail)}]
    for columns in groups:
        for group, part in frame.groupby(list(columns)):
            if len(part) >= 60:
                named = dict(zip(columns, map(str, group), strict=True))
                rules.append({"when": {**when, **named}, "set": _band(part["ratio"], tail)})
    return rules


def _summary(frame: Any) -> dict[str, float]:
    off = 100 * (frame["ratio"] - 1).abs()
    return {"rows": len(frame), "mape_percent": float(off.mean()), "median_percent": float(off.median())}


def _errors(recipe: Recipe, seen: Any, held: Any, left: Any) -> dict[str, Any]:
    roofline = held.assign(ratio=recipe.roofline_of(held) / (held["latency_us"] * 1e-6))
    errors: dict[str, Any] = {"fit": _summary(seen), "held_out": _summary(held), "left_out_device": _summary(left)}
    siblings = left[left["sibling"]]
    if len(siblings):
        errors["left_out_device_with_a_sibling_of_its_architecture"] = _summary(siblings)
    errors["datasheet_roofline"] = _summary(roofline)
    errors["left_out_by_device"] = {str(name): _summary(part) for name, part in left.groupby("device")}
    return errors


def run(recipe: Recipe, frame: Any, out: Path | None) -> None:
    """Fit, print the error tables and, given ``out``, write the calibration file (refitted on all rows)."""
    mask = shape_split(frame, recipe.shape)
    seen, held = frame[~mask].reset_index(drop=True), frame[mask].reset_index(drop=True)
    fitted = _fit(recipe, seen)
    groups = Counter(" and ".join(columns) for (columns, _, _), delta in fitted.offsets.items() if abs(delta) >= 0.02)
    inspection.print_counts(recipe.operator, len(fitted.base), groups)
    seen, held = (part.assign(ratio=_ratio(recipe, fitted, part)) for part in (seen, held))
    left = _left_out(recipe, frame)
    by = list(recipe.table_by)
    for title, part in (("fit", seen), ("held-out shapes", held), ("left-out device", left)):
        print(f"{recipe.operator}: {title}\n{error_table(part, part['ratio'], by).to_string()}")
    errors = _errors(recipe, seen, held, left)
    print({name: value for name, value in errors.items() if name != "left_out_by_device"})
    _print_coverage(recipe, held, left)
    if out is None:
        return
    final = _fit(recipe, frame)
    mapping = {
        "schema": "calibration/1",
        "operator": recipe.operator,
        "form": recipe.form,
        "data": list(recipe.data),
        "date": "2026-11-21",
        "split": f"30 % of shapes held out by crc32 of ({', '.join(recipe.shape)}); rules refitted on all rows",
        "errors": errors,
        # vLLM's MLA was timed outside a graph: its launch times do not hold inside a model step
        **({"backends_in_steps": ["trtllm", "sglang"]} if recipe.operator.startswith("mla") else {}),
        "measured_devices": sorted(frame["device"].unique()),
        "rules": [recipe.rename(rule) for rule in [*final.rules(), *recipe.fixed]],
        "bands": _bands(recipe, held, left),
    }
    write_calibration(out, mapping)


def _print_coverage(recipe: Recipe, held: Any, left: Any) -> None:
    """Print what bands hold of rows that they were not drawn from: other shapes; other devices of the same sort."""
    by = max(recipe.band_by, key=len, default=("backend",))
    inspection.print_coverage("held-out shapes", held, held["ratio"], by, shape_split(held, recipe.shape[:-1]))
    for title, part in (
        ("left out, sibling measured", left[left["sibling"]].reset_index(drop=True)),
        ("left out, no sibling", left[~left["sibling"]].reset_index(drop=True)),
    ):
        if part["device"].nunique() > 1:
            inspection.print_coverage(title, part, part["ratio"], ("backend",), part["device"].to_numpy())


def ablate(recipe: Recipe, frame: Any, most: int = 6000) -> None:
    """Print the errors of the form refitted without each physical term, and without each kind of group."""
    weight = recipe.row_weight * max(1.0, len(frame) / most)
    part = frame.sample(min(most, len(frame)), random_state=0).reset_index(drop=True)
    mask = shape_split(part, recipe.shape)
    seen, held = part[~mask].reset_index(drop=True), part[mask].reset_index(drop=True)

    def errors(changed: Recipe) -> dict[str, float]:
        changed = replace(changed, row_weight=weight)
        ratio = _ratio(changed, _fit(changed, seen), held)
        left = _left_out(changed, part)
        mean = inspection.mean_over_devices(left, left["ratio"])
        return {"held out": inspection.mape(ratio), "device left out": mean}

    def without_term(values: Mapping[str, float]) -> Callable[[], dict[str, float]]:
        start = {name: value for name, value in recipe.start.items() if name not in values}
        offsets = tuple(
            replace(level, coefficients=tuple(n for n in level.coefficients if n in start)) for level in recipe.offsets
        )
        fixed = (*recipe.fixed, {"set": dict(values)})
        return lambda: errors(replace(recipe, start=start, offsets=offsets, fixed=fixed))

    def without_groups(columns: tuple[str, ...]) -> Callable[[], dict[str, float]]:
        kept = tuple(level for level in recipe.offsets if level.columns != columns)
        return lambda: errors(replace(recipe, offsets=kept))

    terms = recipe.terms or inspection.added_terms(recipe.start)
    kinds = sorted({level.columns for level in recipe.offsets})
    inspection.print_ablation(
        errors(recipe),
        {
            **{name: without_term(values) for name, values in terms.items()},
            **{f"factors by {' and '.join(columns)}": without_groups(columns) for columns in kinds},
        },
    )


def main(
    recipe: Recipe, prepare: Callable[[Any], Any] = lambda frame: frame, argv: Sequence[str] | None = None
) -> None:
    """Run a recipe from the command line: ``--data DIR_OR_CSV [--out FILE] [--ablation]``."""
    parser = argparse.ArgumentParser(description=f"Fit the {recipe.operator} form on measured kernels.")
    parser.add_argument(
        "--data", type=Path, required=True, help=f"a CSV file, or a folder with {recipe.operator}.csv.gz"
    )
    parser.add_argument("--out", type=Path, help="calibration file to write")
    parser.add_argument("--ablation", action="store_true", help="print only what each physical term buys")
    args = parser.parse_args(argv)
    frame = prepare(read_rows(args.data, recipe.operator))
    if args.ablation:
        ablate(recipe, frame)
    else:
        run(recipe, frame, args.out)

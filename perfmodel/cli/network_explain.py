"""``perfmodel explain`` of networks: the formula of a batch's latency, and how their counts grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.cli.output import print_columns, print_json
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.explain.counts import Growth

SCHEMA, COUNTS_SCHEMA = "perfmodel/explain/1", "perfmodel/explain-count/1"
COUNTS = ("parameters", "activations", "macs", "weights")
MOST_KERNELS = 20


def explain_latency(
    asked: Any, symbols: Sequence[str], *, expected: bool, latex: bool, json: bool
) -> None:  # fmt: skip
    """Print how the latency of an estimate (:class:`perfmodel.network_api.NetworkEstimate`) comes about."""
    from perfmodel.cli.explain import formulas_of
    from perfmodel.explain.network import explain_network

    found = explain_network(asked.setup, symbols or ("batch", "bandwidth", "peak"), asked.batch)
    shown = formulas_of(found, latex=latex, expected=expected)
    if json:
        inputs = {"model": asked.network.name, "device": asked.device.name, "batch": asked.batch}
        print_json({"schema": SCHEMA, "inputs": inputs, **shown})
    elif latex:
        print(*(text for text in (shown["bound"], shown.get("expected")) if text), sep="\n\n")
    else:
        _print_latency(shown)


def _print_latency(shown: dict[str, Any]) -> None:
    from perfmodel.cli.explain import print_symbols

    print(*shown["composition"], sep="\n")
    rows = shown["operators"]
    print(f"\nkernels of a batch of n samples (the {min(len(rows), MOST_KERNELS)} with the most arithmetic)\n")
    cells = [(r["phase"], r["name"], f"{r['repeat']:g}", r["flops"], r["bytes"]) for r in rows[:MOST_KERNELS]]
    print_columns([("network", "kernel", "x", "flops", "bytes"), *cells], numbers=(2,), indent="  ")
    if len(rows) > MOST_KERNELS:
        print(f"  and {len(rows) - MOST_KERNELS} more (--json has all)")
    print("\nlatency in seconds")
    print(f"  bound = {shown['bound']}")
    width = max(len(name) for name in shown["parts"])
    for name, part in shown["parts"].items():
        print(f"  {name:<{width}} = {part}")
    if "expected" in shown:
        print(f"  expected = {shown['expected']}")
    print_symbols(shown)


def explain_count(
    metric: str, model: str, fields: Sequence[str], changes: Mapping[str, str], precision: str, *,
    latex: bool, json: bool,
) -> None:  # fmt: skip
    """Print how a count of a network grows with fields of its family."""
    from perfmodel.explain.counts import METRICS, explain_counts, usual_field

    values = _model_fields(changes)
    found = explain_counts(model, metric, fields or (usual_field(model),), values, precision or "float16")
    if json:
        rows = [_object(growth) for growth in found]
        print_json({"schema": COUNTS_SCHEMA, "model": model, "metric": metric, "meaning": METRICS[metric], "in": rows})
        return
    for place, growth in enumerate(found):
        print("\n" if place else "", end="")
        if latex:
            from sympy import latex as as_latex

            print(as_latex(growth.formula))
        else:
            _print_growth(model, growth, METRICS[metric])


def _model_fields(changes: Mapping[str, str]) -> dict[str, Any]:
    from perfmodel.workloads.networks.what_if import field_values

    other = next((name for name in changes if not name.startswith("model.")), "")
    if other:
        raise InputError(f"--set {other}: counts have no device; change fields of the model: --set model.FIELD=VALUE")
    return field_values({name.removeprefix("model."): value for name, value in changes.items()})


def _print_growth(model: str, growth: Growth, meaning: str) -> None:
    sign = "=" if growth.exact else "~"
    print(f"{growth.metric} of {model}: {meaning}\n")
    print(f"  {growth.metric} {sign} {growth.formula}\n")
    print(f"{'exact' if growth.exact else 'not exact'}: {growth.condition}")
    print("with")
    for name, (symbol, value, unit) in growth.symbols.items():
        print(f"  {symbol} = {value:g}{' ' + unit if unit else ''}  ({name})")
    print(f"as it is: {growth.metric} = {growth.value:,.0f}")


def _object(growth: Growth) -> dict[str, Any]:
    from sympy import latex

    return {
        "field": growth.field, "formula": str(growth.formula), "latex": str(latex(growth.formula)),
        "value": growth.value, "exact": growth.exact, "condition": growth.condition,
        "symbols": {name: {"symbol": str(s), "value": v} for name, (s, v, _) in growth.symbols.items()},
    }  # fmt: skip


def image_changes(model: str, image: str) -> dict[str, str]:
    """Return the changes of ``--image N``."""
    if not image:
        return {}
    from perfmodel.arguments import whole
    from perfmodel.workloads.networks.what_if import image_fields

    return image_fields(model, whole("--image", image))

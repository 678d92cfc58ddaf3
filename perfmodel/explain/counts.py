"""How a network's counts grow: exact polynomials in the size of its input, in its depth, in its width.

A network is built at several sizes, and the polynomial through its counts (whole numbers, so exact) is verified at
further sizes. Where no polynomial fits, as where channels are rounded to multiples of 8, the leading order is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import log2
from typing import Any, cast

from perfmodel.errors import InputError, PerfmodelError, did_you_mean
from perfmodel.formats import find_format
from perfmodel.workloads.network import AnyNetwork, as_pipeline
from perfmodel.workloads.networks.library import Variant, built, family_fields
from perfmodel.workloads.networks.registry import FAMILIES
from perfmodel.workloads.networks.summary import values_of, variant_of

METRICS: Mapping[str, str] = {
    "parameters": "learned numbers",
    "activations": "elements of the results of convolutions, products and attention, of one sample",
    "macs": "multiply-accumulates of convolutions, products and attention, of one sample",
    "weights": "bytes of all learned numbers",
}
"""The counts that can be explained, with what each of them is."""

HIGHEST_DEGREE, VERIFIED = 4, 2
"""Of the polynomials: attention between all positions grows with the fourth power of the image's side."""

STRIDES = (1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 96, 112, 128, 224, 256, 384)
_DEPTHS = ("depth", "depths", "layers", "blocks", "repeats")
_LETTERS = {"image": "s", "height": "H", "width": "w", "frames": "T", "classes": "C", "text_tokens": "L"}


@dataclass(frozen=True)
class Growth:
    """A count in the symbols of one field: ``count = formula``, exactly under the ``condition`` or to leading order.

    ``symbols`` maps each symbol to its value in the network as it is and what it is.
    """

    metric: str
    field: str
    formula: Any
    value: float
    symbols: dict[str, tuple[Any, float, str]]
    condition: str
    exact: bool


def explain_counts(
    name: str, metric: str, fields: Sequence[str], changes: Mapping[str, Any], precision: str = "float16"
) -> list[Growth]:
    """Return how a count of a network grows with each of the fields of its family.

    ``changes`` are fields that are other than published; ``precision`` is that of the weights' bytes.
    Errors: :class:`InputError` for a graph, which has no fields, or for an unknown metric or field.
    """
    if metric not in METRICS:
        raise InputError(f"unknown count '{metric}'{did_you_mean(metric, METRICS)} (one of {', '.join(METRICS)})")
    variant = variant_of(name)
    if variant is None:
        raise InputError(f"{name} has no family whose fields could vary: a graph is one network")
    known = family_fields(FAMILIES[variant.family])
    for field in fields:
        if field not in known:
            hint = did_you_mean(field, list(known))
            raise InputError(f"{variant.name} (family {variant.family}) has no field '{field}'{hint}")
    count = _Count(variant, metric, changes, find_format(precision).weight.bytes_per_element)
    return [_growth(count, field) for field in fields]


def usual_field(name: str) -> str:
    """Return the field that a network's counts are first asked in: the size of its images, if it has such.

    Errors: :class:`InputError` for a network of no usual size, with the fields that it has.
    """
    variant = variant_of(name)
    if variant is None:
        return "image"
    known = values_of(variant)
    for field in ("image", "height", "text_tokens", "length", "depth", "depths"):
        if field in known:
            return field
    kinds = (int, float, list)
    numbers = [field for field, value in known.items() if isinstance(value, kinds) and not isinstance(value, bool)]
    raise InputError(f"{name} has no images: say in what to count: --symbols {numbers[0]} (of {', '.join(numbers)})")


@dataclass(frozen=True)
class _Count:
    """A count of a variant as a function of changed fields."""

    variant: Variant
    metric: str
    changes: Mapping[str, Any]
    weight_bytes: float

    def value_of(self, field: str) -> Any:
        """Return the value of a field as it is."""
        return self.changes.get(field, values_of(self.variant)[field])

    def __call__(self, **fields: Any) -> Fraction:
        network = built(self.variant, {**self.changes, **fields})
        return Fraction(_counted(network, self.metric)) * (
            Fraction(self.weight_bytes) if self.metric == "weights" else 1
        )  # fmt: skip


def _counted(network: AnyNetwork, metric: str) -> Fraction:
    if metric in ("parameters", "weights"):
        return Fraction(int(network.parameters))
    if metric == "macs":
        return Fraction(round(float(network.matmul_flops)), 2)
    stages = as_pipeline(network).stages
    return sum(
        (Fraction(int(s.network.activation_elements)) * Fraction(s.repeat) * Fraction(s.copies) for s in stages),
        Fraction(0),
    )  # fmt: skip


def _growth(count: _Count, field: str) -> Growth:
    value: Any = count.value_of(field)
    if isinstance(value, (list, tuple)) and value and all(_whole(part) for part in cast("list[Any]", value)):
        return _in_depths(count, field, list(value)) if field in _DEPTHS else _in_factor(count, field, list(value))
    if isinstance(value, float) and value > 0:
        return _in_factor(count, field, value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{count.variant.name}: {field} is {value!r:.40}; only numbers and lists of them can vary")
    if field in _DEPTHS:
        return _in_depth(count, field, value)
    found = _in_size(count, field, value)
    return found if found is not None else _in_factor(count, field, value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _symbol(name: str) -> Any:
    import sympy

    return sympy.Symbol(name, positive=True)


# ---- sizes: exact polynomials at multiples of a stride


def _in_size(count: _Count, field: str, value: int) -> Growth | None:
    """Return the polynomial in a size that holds at all multiples of the smallest stride for which there is one."""
    for stride in STRIDES:
        if stride > value:
            break
        places = _spread(value, stride)
        found = _fitted(lambda size: count(**{field: size}), places)
        if found is None:
            continue
        symbol = _symbol(_LETTERS.get(field, "n"))
        condition = f"{field} is a multiple of {stride}" if stride > 1 else f"{field} is a whole number"
        condition += f"; verified at {len(places)} sizes from {min(places)} to {max(places)}"
        if value % stride:
            condition += f" (the network's own, {value}, is none of them)"
        return Growth(
            count.metric, field, _polynomial(found, symbol), float(count()), {field: (symbol, float(value), "")},
            condition, exact=True,
        )  # fmt: skip
    return None


def _spread(value: int, stride: int) -> list[int]:
    """Return multiples of a stride from half of a value to twice it, odd and even ones, and the value if it is one.

    Close together, sizes that are rounded down would look like a polynomial.
    """
    count = HIGHEST_DEGREE + 1 + VERIFIED
    first, last = max(value // (2 * stride), 1), max(2 * value // stride, 1)
    step = max((last - first) // count, 1)
    found = [stride * (first + i * step + (i % 2 if step > 1 else 0)) for i in range(count)]
    return [value, *(n for n in found if n != value)][:count] if value % stride == 0 else found


def _fitted(count: Callable[[int], Fraction], places: Sequence[int]) -> list[Fraction] | None:
    """Return the coefficients of the polynomial through the first places if it holds at the others too."""
    values: list[Fraction] = []
    for place in places:
        try:
            values.append(count(place))
        except PerfmodelError:
            return None
        if len(values) == HIGHEST_DEGREE + 2 and not _holds(values, places):
            return None  # do not build what would be in vain
    return interpolated(places[: HIGHEST_DEGREE + 1], values) if _holds(values, places) else None


def _holds(values: Sequence[Fraction], places: Sequence[int]) -> bool:
    found = interpolated(places[: HIGHEST_DEGREE + 1], values)
    return all(at(found, Fraction(place)) == value for place, value in zip(places, values, strict=False))


def interpolated(places: Sequence[int], values: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients, the constant first, of the polynomial through points (Newton's divided differences)."""
    known = [Fraction(value) for value in values[: len(places)]]
    count = len(places)
    for order in range(1, count):
        for i in range(count - 1, order - 1, -1):
            known[i] = (known[i] - known[i - 1]) / (places[i] - places[i - order])
    found = [Fraction(0)] * count
    for i in range(count - 1, -1, -1):
        shifted = [Fraction(0), *found[:-1]]
        found = [a - places[i] * b for a, b in zip(shifted, found, strict=True)]
        found[0] += known[i]
    return found


def at(coefficients: Sequence[Fraction], place: Fraction) -> Fraction:
    """Return the value of a polynomial at a place."""
    total = Fraction(0)
    for coefficient in reversed(coefficients):
        total = total * place + coefficient
    return total


def _polynomial(coefficients: Sequence[Fraction], symbol: Any) -> Any:
    import sympy

    return sum(
        (sympy.Rational(c.numerator, c.denominator) * symbol**power for power, c in enumerate(coefficients)),
        sympy.Integer(0),
    )


# ---- depth: linear in the number of blocks of each stage


def _in_depth(count: _Count, field: str, value: int) -> Growth:
    """Return the line through the counts of networks of one block more and less, if it is one."""
    found = _fitted_line(count, field, value)
    symbol = _symbol("d")
    formula = _polynomial(found, symbol)
    condition = f"{field} from {value} up; verified at {value + 2} and {value + 3}"
    return Growth(
        count.metric, field, formula, float(count()), {field: (symbol, float(value), "blocks")}, condition, exact=True
    )  # fmt: skip


def _fitted_line(count: _Count, field: str, value: int) -> list[Fraction]:
    values = [count(**{field: value + more}) for more in range(4)]
    steps = {b - a for a, b in pairwise(values)}
    if len(steps) > 1:
        raise InputError(f"{count.variant.name}: its {count.metric} are not linear in {field}")
    step = steps.pop()
    return [values[0] - step * value, step]


def _in_depths(count: _Count, field: str, value: list[int]) -> Growth:
    """Return the sum over stages of their blocks times what one block more adds, verified two blocks more at once."""
    import sympy

    base = count()
    steps = [count(**{field: _more(value, place, 1)}) - base for place in range(len(value))]
    both = count(**{field: [blocks + 2 for blocks in value]})
    if both - base != 2 * sum(steps):
        raise InputError(f"{count.variant.name}: its {count.metric} are not linear in {field}")
    symbols = [_symbol(f"d_{place + 1}") for place in range(len(value))]
    start = base - sum((step * blocks for step, blocks in zip(steps, value, strict=True)), Fraction(0))
    formula = sympy.Rational(start.numerator, start.denominator)
    for step, symbol in zip(steps, symbols, strict=True):
        formula += sympy.Rational(step.numerator, step.denominator) * symbol
    table = {
        f"{field}[{place}]": (symbol, float(blocks), "blocks")
        for place, (symbol, blocks) in enumerate(zip(symbols, value, strict=True))
    }
    condition = f"{field} from {value} up; verified with two blocks more in every stage"
    return Growth(count.metric, field, formula, float(base), table, condition, exact=True)


def _more(value: Sequence[int], place: int, blocks: int) -> list[int]:
    return [n + blocks if i == place else n for i, n in enumerate(value)]


# ---- width: by a common factor, exactly or to leading order


def _in_factor(count: _Count, field: str, value: Any) -> Growth:
    """Return the count in a factor on a field: its exact polynomial if there is one, else its leading order."""

    def scaled(factor: int) -> Fraction:
        return count(**{field: [n * factor for n in value] if isinstance(value, list) else value * factor})

    symbol = _symbol("m")
    table = {f"factor on {field}": (symbol, 1.0, "")}
    places = list(range(1, HIGHEST_DEGREE + 2 + VERIFIED))
    found = None if isinstance(value, float) else _fitted(scaled, places)
    if found is not None:
        condition = f"{field} = m*{value}, m whole; verified at {len(places)} factors"
        return Growth(count.metric, field, _polynomial(found, symbol), float(count()), table, condition, exact=True)
    formula = _leading(count, field, scaled, symbol)
    condition = f"leading order in a factor m on {field} = {value}, from m = 4, 8 and 16: no polynomial fits exactly"
    return Growth(count.metric, field, formula, float(count()), table, condition, exact=False)


def _leading(count: _Count, field: str, scaled: Callable[[int], Fraction], symbol: Any) -> Any:
    """Return ``c*m^p`` with p from how differences grow when the factor doubles: what is constant drops out."""
    import sympy

    try:
        low, middle, high = scaled(4), scaled(8), scaled(16)
    except PerfmodelError as error:
        raise InputError(f"{count.variant.name} cannot be built with other values of {field}: {error}") from None
    if low == middle == high:
        return sympy.Float(float(high), 6)
    if not middle > low or not high > middle:
        raise InputError(f"{count.variant.name}: its {count.metric} do not grow with {field} by any power")
    power = round(log2((high - middle) / (middle - low)))
    return sympy.Float(float((high - middle) / (Fraction(16) ** power - Fraction(8) ** power)), 6) * symbol**power

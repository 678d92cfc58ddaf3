"""Operations as the text of spreadsheet formulas that Excel and LibreOffice both compute, and compute alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from perfmodel.readings.trace import Node

_ATOM, _PRODUCT, _SUM, _COMPARISON = 4, 3, 2, 1
_INFIX = {
    "add": ("+", _SUM), "sub": ("-", _SUM), "mul": ("*", _PRODUCT), "div": ("/", _PRODUCT),
    "lt": ("<", _COMPARISON), "le": ("<=", _COMPARISON), "gt": (">", _COMPARISON), "ge": (">=", _COMPARISON),
}  # fmt: skip
_CALLS = {
    "pow": "POWER",
    "max": "MAX",
    "min": "MIN",
    "where": "IF",
    "sqrt": "SQRT",
    "exp": "EXP",
    "log": "LN",
    "floor": "INT",
}


@dataclass(frozen=True)
class Text:
    """A formula's text without its equals sign, and how strongly its outermost operation binds."""

    formula: str
    binds: int = _ATOM

    def at_least(self, binds: int) -> str:
        """Return the text, in parentheses where it binds less than it must."""
        return self.formula if self.binds >= binds else f"({self.formula})"


def compose(node: Node, parts: Sequence[Text]) -> Text:
    """Return the text of an operation from the texts of what it is computed from."""
    op = node.op
    if op in ("mul", "add") and "0" in (parts[0].formula, parts[1].formula):
        return _with_zero(op, parts)
    if op in _INFIX:
        return _infix(node, parts)
    if op == "ceil":  # ROUNDUP goes away from zero, and CEILING differs between programs below it
        return Text(f"(-INT(-{parts[0].at_least(_ATOM)}))")
    name = _CALLS[op]
    return Text(f"{name}({','.join(_inner(part.formula, name) for part in parts)})")


def _with_zero(op: str, parts: Sequence[Text]) -> Text:
    if op == "mul":
        return Text("0")
    return parts[1] if parts[0].formula == "0" else parts[0]


def _infix(node: Node, parts: Sequence[Text]) -> Text:
    sign, binds = _INFIX[node.op]
    if node.op == "mul" and (divisor := _whole_divisor(node.args[1])):
        return Text(f"{parts[0].at_least(_PRODUCT)}/{divisor}", _PRODUCT)
    if node.op == "sub" and node.args[0].op == "const" and node.args[0].args[0] == 0.0:
        return Text(f"(-{parts[1].at_least(_ATOM)})")
    return Text(f"{parts[0].at_least(binds)}{sign}{parts[1].at_least(binds + 1)}", binds)


def _inner(text: str, name: str) -> str:
    """Return the arguments of a call of the same MAX or MIN, which need no call of their own."""
    if name not in ("MAX", "MIN") or not text.startswith(f"{name}("):
        return text
    depth = 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and letter == ")":
            return text[len(name) + 1 : -1] if place == len(text) - 1 else text
    return text


def constant(value: float) -> Text:
    """Return a constant's text; infinity is the largest number that spreadsheets take."""
    if math.isinf(value):
        return Text("9.99E+307" if value > 0 else "(-9.99E+307)")
    text = repr(value).removesuffix(".0").upper()
    return Text(f"({text})" if value < 0 else text)


def _whole_divisor(node: Node) -> str:
    """Return n for the constant 1/n: the trace multiplies by it, but people (and rounding) prefer the division."""
    value = node.args[0] if node.op == "const" else 0.0
    if not 0.0 < value < 1.0 or math.isinf(1.0 / value):
        return ""
    whole = float(round(1.0 / value))
    return repr(whole).removesuffix(".0") if 1.0 / whole == value and whole < 1e15 else ""

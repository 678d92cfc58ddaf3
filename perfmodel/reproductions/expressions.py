"""Expressions of a reproduction: arithmetic over its inputs and the answers of its parts, lists element by element."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perfmodel.errors import InputError, did_you_mean

LITERALS = frozenset({0, 1, 2, 3, 4, 6, 8, 12, 100, 1000, 1e6, 1e9, 1e12, 3600})
"""The numbers that an expression may have: of arithmetic and units. All others are inputs, which have a source."""

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.FloorDiv: operator.floordiv,
}  # fmt: skip


def _geomean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _reduce(function: Callable[[Sequence[float]], float]) -> Callable[..., Any]:
    """Return a function of one list, or of several arguments that are taken element by element."""

    def reduced(*values: Any) -> Any:
        if len(values) == 1 and isinstance(values[0], list):
            return function(values[0])
        return _elementwise(lambda *each: function(each), *values)

    return reduced


def _at(values: Any, index: Any) -> Any:
    if not isinstance(values, list) or not 0 <= int(index) < len(values):
        raise InputError(f"at() takes a list and a place in it, from 0, not {values!r} and {index!r}")
    return values[int(index)]


def _each(function: Callable[[float], float]) -> Callable[..., Any]:
    return lambda values: _elementwise(function, values)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max": _reduce(max), "min": _reduce(min), "sum": _reduce(math.fsum), "geomean": _reduce(_geomean),
    "mean": _reduce(lambda values: math.fsum(values) / len(values)), "at": _at, "ceil": _each(math.ceil),
    "floor": _each(math.floor), "sqrt": _each(math.sqrt), "log": _each(math.log),
}  # fmt: skip
"""What an expression may call."""


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression: a number, or a list where it has lists that nothing reduces.

    ``part.metric.field`` is a number of a part's answer, ``name`` an input or a value of ``let``.

    Errors: :class:`InputError` for what is no arithmetic, an unknown name, or a number that has no source.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise InputError(f"'{text}' is no expression: {error.msg}") from None
    try:
        return _value(tree, names)
    except ZeroDivisionError:
        raise InputError(f"'{text}' divides by zero") from None


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            if number not in LITERALS:
                raise InputError(f"{number:g} in an expression has no source; make it an input")
            return float(number)
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return find(_path(node), names)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _elementwise(_OPERATORS[type(node.op)], _value(node.left, names), _value(node.right, names))
        case ast.UnaryOp(op=ast.USub()):
            return _elementwise(operator.neg, _value(node.operand, names))
        case ast.Call(func=ast.Name(id=name)) if not node.keywords:
            if name not in FUNCTIONS:
                raise InputError(f"unknown function '{name}'{did_you_mean(name, FUNCTIONS)} ({', '.join(FUNCTIONS)})")
            return FUNCTIONS[name](*(_value(argument, names) for argument in node.args))
        case _:
            raise InputError(f"'{ast.unparse(node)}' is not arithmetic: names, + - * / ** and {', '.join(FUNCTIONS)}")


def _path(node: ast.expr) -> list[str]:
    match node:
        case ast.Name():
            return [node.id]
        case ast.Attribute():
            return [*_path(node.value), node.attr]
        case ast.Subscript(slice=ast.Constant(value=str() | int() as key)):
            return [*_path(node.value), str(key)]
        case _:
            raise InputError(f"'{ast.unparse(node)}' names nothing")


def find(path: Sequence[str], names: Mapping[str, Any]) -> Any:
    """Return the number at a path of names, of every item where it meets a list of answers."""
    here: Any = names
    for place, key in enumerate(path):
        if isinstance(here, list) and not key.isdigit():
            return [find(path[place:], item) for item in here]
        here = _step(here, key, ".".join(path))
    if isinstance(here, list):
        return [_number(item, path) for item in here]
    return _number(here, path)


def _step(here: Any, key: str, whole: str) -> Any:
    if isinstance(here, list) and int(key) < len(here):
        return here[int(key)]
    if not isinstance(here, Mapping) or key not in here:
        known = [str(name) for name in here] if isinstance(here, Mapping) else []
        shown = f" (there is {', '.join(known[:40])})" if known else ""
        raise InputError(f"'{whole}': there is no '{key}'{did_you_mean(key, known)}{shown}")
    return here[key]


def _number(value: Any, path: Sequence[str]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"'{'.'.join(path)}' is {value!r}, not a number")
    return float(value)


def _elementwise(function: Callable[..., Any], *values: Any) -> Any:
    lengths = {len(value) for value in values if isinstance(value, list)}
    if not lengths:
        return function(*values)
    if len(lengths) > 1:
        raise InputError(f"lists of different lengths meet: {', '.join(map(str, sorted(lengths)))}")
    count = lengths.pop()
    columns = [value if isinstance(value, list) else [value] * count for value in values]
    return [function(*each) for each in zip(*columns, strict=True)]

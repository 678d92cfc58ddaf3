"""The JavaScript reading: a traced formula becomes the source text of functions that a browser runs.

Traces that differ in constants alone (another device, another split) share one function: constants that are the same
everywhere stay in it, the others come as an array ``k``. Numbers are doubles in both languages, and every operation but
``exp``, ``log`` and ``**`` rounds alike. The text has no spaces, for it is most of a page; all of it needs
:data:`PRELUDE` before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.readings.trace import Graph, Node
from perfmodel.readings.writer import Writer

_CALLS = {
    "max": "max({0},{1})", "min": "min({0},{1})", "where": "({0}?{1}:{2})", "ceil": "ceil({0})",
    "floor": "floor({0})", "sqrt": "sqrt({0})", "exp": "exp({0})", "log": "log({0})",
}  # fmt: skip
PRELUDE = "const {max,min,ceil,floor,sqrt,exp,log}=Math;\n"
_PLACE = re.compile("\x00(\\d+)\x00")
_SPACES = re.compile(r" *([^\w ]) *")


@dataclass(frozen=True)
class Template:
    """A traced formula as the text of a function's parameters and body, its constants taken out.

    ``arguments`` are those that the results depend on, in the order asked for.
    """

    arguments: tuple[str, ...]
    text: str
    constants: tuple[float, ...]


@dataclass(frozen=True)
class Call:
    """One of the functions of a :class:`Script` with the array ``k`` that makes it a template's formula."""

    function: str
    arguments: tuple[str, ...]
    k: tuple[float, ...]


@dataclass(frozen=True)
class Script:
    """Functions as JavaScript, and for each template the call that stands for it, in the order given."""

    source: str
    calls: tuple[Call, ...]


def javascript(f: Callable[..., Any], arguments: Sequence[str], name: str = "kernel") -> str:
    """Return one function that takes the arguments by position: a result as an array of one, a tuple as an array."""
    graph = Graph()
    results = f(*(graph.input(argument) for argument in arguments))
    nodes = [graph.lift(r) for r in (results if isinstance(results, tuple) else (results,))]
    found = template(nodes, arguments)
    text = _PLACE.sub(lambda match: _number(found.constants[int(match[1])]), found.text)
    return f"function {name}({','.join(arguments)}){{\n{text}}}\n"


def template(nodes: Sequence[Node], arguments: Sequence[str]) -> Template:
    """Return traced nodes as a template of a function that returns an array of them."""
    writer = _JavaScriptWriter(nodes)
    lines = [line.strip() for line in writer.write()]
    lines.append(f"return [{','.join(writer.text(node) for node in nodes)}];")
    reached = {node.args[0] for node in writer.order if node.op == "input"}
    used = tuple(argument for argument in arguments if argument in reached)
    return Template(used, _SPACES.sub(r"\1", _joined(lines)), tuple(writer.constants))


def _joined(lines: Sequence[str]) -> str:
    """Return statements as one text, declarations that follow each other as one."""
    parts: list[str] = []
    for before, line in zip(("", *lines), lines, strict=False):
        both = before.startswith("const ") and line.startswith("const ")
        if both:
            parts[-1] = parts[-1].removesuffix(";")
        parts.append(f",\n{line.removeprefix('const ')}" if both else f"\n{line}" if parts else line)
    return "".join(parts) + "\n"


def script(templates: Sequence[Template], prefix: str = "f") -> Script:
    """Return the functions of all templates, one for those of the same shape."""
    groups: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for place, each in enumerate(templates):
        groups.setdefault((each.arguments, each.text), []).append(place)
    sources: list[str] = []
    calls: dict[int, Call] = {}
    for (arguments, text), places in groups.items():
        name = f"{prefix}{len(sources)}"
        texts, arrays = _parted([templates[place].constants for place in places])
        body = _PLACE.sub(lambda match, texts=texts: texts[int(match[1])], text)
        sources.append(f"function {name}({','.join((*arguments, 'k'))}){{\n{body}}}\n")
        calls |= {place: Call(name, arguments, array) for place, array in zip(places, arrays, strict=True)}
    return Script("".join(sources), tuple(calls[place] for place in range(len(templates))))


def _parted(constants: Sequence[tuple[float, ...]]) -> tuple[list[str], list[tuple[float, ...]]]:
    """Return the text of each constant, and the array ``k`` of each template: of what is not the same everywhere."""
    columns: dict[tuple[float, ...], int] = {}
    texts: list[str] = []
    for column in zip(*constants, strict=True):
        if len(set(column)) == 1:
            texts.append(_number(column[0]))
        else:
            texts.append(f"k[{columns.setdefault(column, len(columns))}]")
    return texts, [tuple(column[row] for column in columns) for row in range(len(constants))]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "(-Infinity)"}.get(value, "NaN")
    text = repr(value).removesuffix(".0")
    return f"({text})" if value < 0 else text  # -2 ** x is no JavaScript


class _JavaScriptWriter(Writer):
    """Writes JavaScript; values are numbered as they come, so that traces of one shape have one text."""

    def __init__(self, roots: Sequence[Node]) -> None:
        super().__init__(roots, _CALLS)
        self.constants: list[float] = []
        self._numbers: dict[int, int] = {}

    def name(self, kind: str, node: Node) -> str:
        return f"{kind}{self._numbers.setdefault(node.serial, len(self._numbers))}"

    def constant(self, value: float) -> str:
        self.constants.append(value)
        return f"\x00{len(self.constants) - 1}\x00"

    def assignment(self, name: str, text: str) -> str:
        return f"const {name} = {text};"

    def loop(self, best: str, indices: Sequence[str], candidates: Sequence[tuple[float, ...]]) -> list[str]:
        flat = ", ".join(_number(x) for candidate in candidates for x in candidate)
        step, taken = len(indices), ", ".join(f"{name} = c{best}[j{best} + {i}]" for i, name in enumerate(indices))
        return [
            f"const c{best} = [{flat}];",
            f"let {best} = Infinity;",
            f"for (let j{best} = 0; j{best} < c{best}.length; j{best} += {step}) {{",
            f"const {taken};",
        ]

    def keep_least(self, best: str, value: str) -> list[str]:
        return [f"{best} = Math.min({best}, {value});", "}"]

"""From the words of the command line to the arguments of :func:`perfmodel.estimate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.errors import InputError, did_you_mean


def real(option: str, text: str) -> float | None:
    """Return the number that an option states, None where it is empty."""
    if not text:
        return None
    from perfmodel.arguments import positive

    return positive(option, text)


def pools(mode: str, words: Mapping[str, str]) -> dict[str, Any]:
    """Return mode and pools from words such as ``{"prefill_workers": "2", "decode_tp": "4"}``; empty ones are unset.

    A pool implies mode disagg; a count of a pool that is not stated is 1.
    """
    stated = {name: text for name, text in words.items() if text}
    if not stated:
        return {}
    if mode not in ("", "disagg"):
        raise InputError(f"--{next(iter(stated)).replace('_', '-')} needs --mode disagg")
    return {"mode": "disagg", "prefill_pool": _pool("prefill", stated), "decode_pool": _pool("decode", stated)}


def refuse_plan_beside_pools(chosen: Mapping[str, Any], split: Any) -> None:
    """Refuse a way to split that no pool has: with pools, each has its own."""
    if "prefill_pool" not in chosen:
        return
    for name in ("tp", "ep", "moe_tp", "attention_dp", "pp", "cp"):
        text = getattr(split, name, "")
        if text not in ("", "1"):
            word = name.replace("_", "-")
            raise InputError(f"--{word} says how one deployment is split, and each pool has a split of its own: "
                             f"--prefill {name}={text} --decode {name}={text}")  # fmt: skip


def _pool(name: str, words: Mapping[str, str]) -> Any:
    """Return a pool from ``--prefill workers=4,tp=4,ep=32`` and from options of its own, such as ``--prefill-tp``."""
    from perfmodel.arguments import whole
    from perfmodel.plan.words import PLAN_FIELDS, plan_from
    from perfmodel.serving.scenario import Pool

    fields = tuple(field for field in PLAN_FIELDS if field != "dp")
    given = _assignments(f"--{name}", words.get(name, ""), ("workers", *fields))
    given |= {field: text for field in ("workers", *fields) if (text := words.get(f"{name}_{field}"))}

    def named(field: str) -> str:
        return f"--{name}-{field.replace('_', '-')}"

    return Pool(whole(named("workers"), given.get("workers", 1)), plan_from(given, named))


def lengths(usecase: str, input_tokens: str, output_tokens: str) -> tuple[str, str]:
    """Return the lengths as words: those given, else the use case's means, else 1024 and 256."""
    means = ("1024", "256")
    if usecase:
        from perfmodel.workloads.usecases import lengths_of, load_usecase

        first, second = lengths_of(load_usecase(usecase))
        means = (str(first), str(second))
    return input_tokens or means[0], output_tokens or means[1]


def changes(words: Sequence[str] | None) -> dict[str, str]:
    """Return the numbers that ``--set FIELD=VALUE`` changes."""
    found: dict[str, str] = {}
    for text in words or ():
        field, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise InputError(f"--set: '{text}' is not FIELD=VALUE, such as device.power=400W")
        found[field.strip()] = value.strip()
    return found


def _assignments(option: str, text: str, known: tuple[str, ...]) -> dict[str, str]:
    """Return ``{"tp": "4"}`` from ``tp=4``; several are parted by commas."""
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        field, equals, value = (piece.strip() for piece in part.partition("="))
        field = field.replace("-", "_")
        if not equals or not value:
            raise InputError(f"{option}: '{part}' is not FIELD=NUMBER, such as tp=4")
        if field not in known:
            raise InputError(f"{option}: no field '{field}'{did_you_mean(field, known)} (one of {', '.join(known)})")
        found[field] = value
    return found

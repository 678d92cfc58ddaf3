"""Names of networks in published vision benchmarks, and the image sizes that they state, as ours.

What a source's word means is told by :mod:`perfmodel.fitting.vision_spellings`, by the rules below where it depends on
more than the word, or by our own names; what is not known is None, never a guess.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from perfmodel.fitting.vision_spellings import HAILO, MLPERF, NVIDIA, OTHERS, QUALCOMM, UNKNOWN, Meaning
from perfmodel.workloads.networks.library import Variant, family_fields, find_variant
from perfmodel.workloads.networks.registry import FAMILIES

_HAILO_TASK = re.compile(r"\b(?:object_detection|OPS \(G\) as printed by Hailo)")


def network_name(published: str, task: str = "", size: str = "") -> tuple[str, dict[str, Any]] | None:
    """Return our network's name and the fields that differ for a published name; None if it is not known.

    ``task`` is all that the source says besides (task, notes, framework, date); ``size`` its words for the shape of the
    input.
    """
    meaning = _meaning(published, task, size)
    if meaning is None:
        return None
    name, fields = (meaning, {}) if isinstance(meaning, str) else meaning
    variant = find_variant(name)
    if variant is None:
        return None
    pixels = image_size(size) if isinstance(meaning, str) else None
    return name, {**fields, **(_sized(variant, pixels) if pixels else {})}


@lru_cache(maxsize=8192)
def _meaning(published: str, task: str, size: str) -> Meaning | None:
    whole = re.sub(r"\s*\|\w+\|", "", published).strip().lower()
    word = whole if whole.startswith(("google/", "openai/", "deepmind/")) else whole.partition("/")[0].strip()
    stated = re.search(r'"(?:model|gpunet)": *"([\w.-]+)"', task, re.IGNORECASE)
    if stated:
        word = whole = stated[1].lower()
    ruled = _ruled(word, task, size)
    if ruled is not None:
        return ruled or None
    tables = (
        (HAILO, OTHERS, MLPERF, NVIDIA, QUALCOMM) if _HAILO_TASK.search(task) else (OTHERS, MLPERF, NVIDIA, QUALCOMM)
    )
    spellings = (whole, word) if whole != word else (word,)
    for spelled in spellings:
        for table in (*tables, {} if HAILO in tables else HAILO):
            if spelled in table and (table is not HAILO or spelled not in _OURS_ELSEWHERE or tables[0] is HAILO):
                return table[spelled]
    if any(spelled in UNKNOWN for spelled in spellings):
        return None
    return next((spelled for spelled in spellings if find_variant(spelled) is not None), None)


_OURS_ELSEWHERE = frozenset({"yolov5s", "yolov5m", "yolov6n"})
"""Words that Hailo has for an early release and others for the one that we name so."""


def _ruled(word: str, task: str, size: str) -> Meaning | None:
    """Return what a word means where more decides than the word; "" if it is not known, None if no rule is for it."""
    text = task.lower()
    if word.startswith("3d-unet"):  # the later task's samples are cases of many windows, of different numbers
        return "3d-unet-brats19" if re.search(r"\bv(?:0\.7|1\.[01])\b", text) else ""
    if word == "vit" and "fastertransformer" in text:
        return ("vit_large_patch16_224", {}) if "l_16-224" in text else ("vit_base_patch16_384", {})
    if word == "efficientnet_v1":
        return {"224x224": "efficientnet_b0", "380x380": "efficientnet_b4"}.get(size, "")
    if word == "yolov3" and "608" in size:
        return ""  # has a pooling pyramid
    return None


def image_size(text: str) -> tuple[int, int] | None:
    """Return (height, width) of words such as "384x384x3", "[1, 3, 224, 224]" or "1 x 3 x 256 x 704"."""
    numbers = [int(word) for word in re.findall(r"\d+", re.sub(r"^\w*p \(|\)$", "", text))]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    sides = [n for n in numbers if n > 4]
    return (sides[-2], sides[-1]) if len(sides) == 2 and len(numbers) in (3, 4) else None


def _sized(variant: Variant, pixels: tuple[int, int]) -> dict[str, Any]:
    """Return the fields that give a network an image of a size, if it has such."""
    known = family_fields(FAMILIES[variant.family])
    height, width = pixels
    if "image" in known:
        return {"image": height} if height == width else {"image": [height, width]}
    return {"height": height, "width": width} if {"height", "width"} <= set(known) else {}

"""How sources of published results spell devices, models, precisions and engines."""

from __future__ import annotations

import re
from collections.abc import Mapping

from perfmodel.errors import InputError

_DEVICES = (
    (r"a100-sxm4-80gb|a100 80 ?gb", "a100-sxm-80gb"),
    (r"a100-sxm4-40gb|a100[- ]40 ?gb", "a100-sxm-40gb"),
    (r"h100-sxm5?-80gb", "h100-sxm"),
    (r"h200-sxm", "h200-sxm"),
    (r"gh200.*144", "gh200-144gb"),
    (r"gh200", "gh200-96gb"),
    (r"gb200", "gb200"),
    (r"^b200", "b200"),
    (r"rtx-pro-6000-blackwell-se", "rtx-pro-6000-server"),
    (r"gb10|dgx spark", "gb10"),
    (r"gaudi2", "gaudi2"),
    (r"gaudi3", "gaudi3"),
    (r"inferentia2|inf2", "inferentia2"),
    (r"trainium1|trn1", "trainium1"),
    (r"trainium2|trn2", "trainium2"),
    (r"rtx[- ]a6000", "rtx-a6000"),
    (r"rtx-?4090-24gb|^4090 24gb", "rtx-4090"),
    (r"rtx-?3090-24gb|^3090 24gb", "rtx-3090"),
    (r"rtx 5090", "rtx-5090"),
    (r"v100 32 ?gb", "v100-sxm-32gb"),
    (r"raspberry pi 5", "raspberry-pi-5"),
    (r"m2 ultra", "apple-m2-ultra"),
    (r"m4 max", "apple-m4-max"),
    (r"snapdragon 8 gen 3", "snapdragon-8-gen-3"),
    (r"jetson agx orin 64|agx orin 64", "jetson-agx-orin"),
    (r"orin nano", "jetson-orin-nano"),
    (r"jetson.*thor", "jetson-thor"),
)

_MODELS = (
    (r"mixtral[- ]?8x22b", "mixtral-8x22b"),
    (r"mixtral", "mixtral-8x7b"),
    (r"tiny-?llama", "tinyllama-1.1b"),
    (r"code-?llama-?\s?34b", "codellama-34b"),
    (r"llama[- ]?3\.1[- ]?405b|llama v3\.1 405b|llama-3\.1-405b", "llama-3.1-405b"),
    (r"llama[- ]?v?3\.[13][- ]?70b|llama-3\.3-70b", "llama-3.1-70b"),
    (r"llama[- ]?3\.2[- ]?1b", "llama-3.2-1b"),
    (r"llama[- ]?3\.2[- ]?3b", "llama-3.2-3b"),
    (r"llama[- ]?v?3(\.1)?[- ]?8b", "llama-3.1-8b"),
    (r"llama[- ]?3[- ]?70b", "llama-3-70b"),
    (r"(llama|vicuna|alpaca|koala)[- ]?v?2?[- ]?7b|llama-2-7b|llama2[- ]7b", "llama-2-7b"),
    (r"(llama|vicuna|koala)[- ]?v?2?[- ]?13b", "llama-2-13b"),
    (r"llama[- ]?v?2?[- ]?70b", "llama-2-70b"),
    (r"mistral[- ]?7b", "mistral-7b"),
    (r"qwen2\.5[- ]?7b", "qwen2.5-7b"),
    (r"qwen2\.5[- ]?72b", "qwen2.5-72b"),
    (r"qwen3[- ]?235b", "qwen3-235b-a22b"),
    (r"qwen3[- ]?30b|qwen3-coder-30b", "qwen3-30b-a3b"),
    (r"gpt-oss[- ]?20b", "gpt-oss-20b"),
    (r"gpt-oss[- ]?120b", "gpt-oss-120b"),
    (r"deepseek[- ]?(r1(?!-distill)|v3)", "deepseek-v3"),
)
"""Spellings in order: the first that is found in a name holds. Tuned variants have the shape of their base model."""

_PRECISIONS = (
    (r"^nvfp4|^fp4", "nvfp4"),
    (r"mxfp4", ""),
    (r"^bf16/fp16", ""),
    (r"^fp8", "fp8"),
    (r"^bf16|^bfloat16", "bfloat16"),
    (r"^fp16|^float16|^f16", "float16"),
    (r"^q4_k_m", "ggml_4.85bpw"),
    (r"^q4_?[0k?]", "q4_0"),
    (r"^q8_?0", "q8_0"),
    (r"int8.*weight|^w8a16|^q8|wint8|^int8wo|int8_wo", "int8_wo"),
    (r"int4|^q4|^w4a16|^4-bit|gptq 4|awq|exl2 4", "int4_wo"),
    (r"w8a8|smoothquant|^int8", "int8"),
)
_ENGINES = (("tensorrt-llm", "trtllm"), ("vllm", "vllm"), ("sglang", "sglang"))


def _first(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for pattern, name in table if re.search(pattern, text)), None)


def device_name(text: str) -> str:
    """Return our name of a device, or the text itself for the library's own aliases."""
    return _first(_DEVICES, text.lower()) or re.sub(r"\(.*\)|\?", "", text).strip()


def model_name(text: str, engine: str) -> str:
    """Return our name of a model, or the last part of the text itself.

    "LLaMA 7B" of TensorRT-LLM and llama.cpp is Llama 2, whose shape is that of Llama 1.
    """
    del engine
    short = text.rsplit("/", maxsplit=1)[-1].strip()
    return _first(_MODELS, short.lower()) or re.sub(r"-(hf|instruct|chat|it|base)\b.*", "", short, flags=re.IGNORECASE)


def precision_of(text: str) -> str | None:
    """Return our precision, None for that of the checkpoint. Errors: :class:`InputError` if it is another one."""
    found = _first(_PRECISIONS, text.strip().lower())
    if found is None and text.strip():
        raise InputError("precision is not one of ours")
    return found or None


def kv_of(raw: Mapping[str, str]) -> str | None:
    """Return the cache's precision where it is stated; TensorRT-LLM's FP8 means an FP8 cache too."""
    stated = raw.get("kv_precision", "").lower()
    if "fp8" in stated:
        return "fp8"
    if "int8" in stated:
        return "int8"
    fp8 = raw["precision"].lower().startswith(("fp8", "fp4", "nvfp4"))
    return "fp8" if fp8 and "tensorrt" in raw["engine"].lower() else None


def engine_name(text: str, version: str) -> str:
    """Return one of the engines that are calibrated, or none for all others: bare kernels.

    TensorRT-LLM is calibrated on runs of 1.x; what was before had another runtime.
    """
    found = _first(_ENGINES, text.lower()) or ""
    return "" if found == "trtllm" and version.startswith("0.") else found

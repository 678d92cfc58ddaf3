"""From how a checkpoint describes its quantisation to the stored formats of a model's modules.

Read are ``quantization_config`` of a config.json (fp8, fbgemm_fp8, mxfp4, modelopt, compressed-tensors, awq, gptq,
bitsandbytes) and modelopt's separate hf_quant_config.json. What is not clearly readable is refused by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perfmodel.errors import InputError, did_you_mean
from perfmodel.formats import find_cache_encoding, find_format
from perfmodel.workloads.families.fields import ConfigFields, ConfigSource, shown
from perfmodel.workloads.families.known_keys import says_nothing, word_set
from perfmodel.workloads.families.registry import Layer
from perfmodel.workloads.importers.module_patterns import CoverageError, Modules
from perfmodel.workloads.spec import Quantisation

_MODELOPT: dict[str, str] = {
    "FP8": "fp8",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "FP8_PB_WO": "fp8_block",
    "FP8_BLOCK_SCALES": "fp8_block",
    "NVFP4": "nvfp4",
    "NVFP4_AWQ": "nvfp4",
    "MXFP8": "mxfp8",
    "W4A16_AWQ": "int4_wo",
    "INT4_AWQ": "int4_wo",
    "W4A8_AWQ": "w4a8",
    "W8A16": "int8_wo",
    "W8A8_SQ_PER_CHANNEL": "int8",
    "INT8_SQ": "int8",
}
_MODELOPT_GROUPS = {"nvfp4": 16, "int4_wo": 128, "w4a8": 128, "mxfp8": 32, "fp8_block": 128}
_CACHES: dict[str, str] = {"FP8": "fp8", "INT8": "int8", "NVFP4": "fp4"}
_EXCLUSIONS = ("modules_to_not_convert", "exclude_modules", "ignore", "ignored_layers", "llm_int8_skip_modules")
# Keys that do not decide the stored format: how the scales were found, names of kernels, versions.
_KNOWN_KEYS = word_set(
    """
quant_method fmt scale_fmt activation_scheme weight_block_size activation_scale_ub dequantize format quant_algo
config_groups kv_cache_scheme kv_cache_quant_algo producer quantization quantization_status global_compression_ratio
version group_size bits w_bit q_group_size zero_point desc_act sym static_groups true_sequential damp_percent dataset
model_seqlen model_name_or_path model_file_base_name is_marlin_format checkpoint_format lm_head pack_dtype backend
do_fuse exllama_config use_cuda_fp16 use_exllama max_input_length cache_block_outputs pad_token_id tokenizer meta
block_name_to_quantize module_name_preceding_first_block batch_size quant_type has_zero_point pre_quant_scale
smoothquant_val load_in_4bit load_in_8bit _load_in_4bit _load_in_8bit bnb_4bit_compute_dtype bnb_4bit_quant_storage
bnb_4bit_quant_type bnb_4bit_use_double_quant llm_int8_enable_fp32_cpu_offload llm_int8_has_fp16_weight
llm_int8_threshold
""",
    *_EXCLUSIONS,
)


def read_quantisation(
    config: ConfigSource | None, separate: ConfigSource | None, layers: Sequence[Layer], base: str, tied: bool = False
) -> Quantisation:
    """Return the stored formats of a model's modules, from its config's block, or the separate file beside it.

    ``config`` is ``quantization_config`` of config.json and ``separate`` is hf_quant_config.json (None: there is
    none); the block wins where both speak of weights. Linear, attention and expert weights have the scheme's format
    unless all of their modules are excluded; embeddings, router and norms keep ``base``. The output head keeps it too
    unless the checkpoint lists its exclusions without the head.

    Errors: :class:`ImportRefused` for a method, format or partial exclusion that is not understood.
    """
    found = Quantisation(base, base, base, base, base, _separate_cache(separate))
    source = config or _weights_of(separate)
    if source is None:
        return found
    fields = ConfigFields(source)
    method = _method(fields)
    _refuse_unknown_keys(fields)
    return _placed(fields, method, layers, found, tied)


def _placed(
    fields: ConfigFields, method: str, layers: Sequence[Layer], plain: Quantisation, tied: bool
) -> Quantisation:
    """Return where the scheme's format applies."""
    chosen, base, excluded = _SCHEMES[method](fields), plain.base, _excluded(fields)
    only_experts = method == "mxfp4"
    try:
        modules = Modules(layers, excluded or ())
        attention, linear, experts = modules.attention(), modules.linear(), modules.experts()
    except CoverageError as error:
        raise fields.source.refusal(f"quantisation: {error}; mixed precision is not understood") from None
    head = not tied and method not in ("mxfp4", "awq", "bitsandbytes") and _quantises_head(fields, modules, excluded)
    return Quantisation(
        base=base,
        linear=chosen if linear and not only_experts else base,
        attention=chosen if attention and not only_experts else base,
        experts=chosen if experts else base,
        lm_head=chosen if head else base,
        kv=_cache(fields) or plain.kv,
    )


def _quantises_head(fields: ConfigFields, modules: Modules, excluded: list[str] | None) -> bool:
    """Say whether the output head is quantised: gptq says so itself, the others list it among the excluded."""
    if fields.source.values.get("quant_method") == "gptq":
        return fields.flag("lm_head")
    return excluded is not None and modules.lm_head()


def _excluded(fields: ConfigFields) -> list[str] | None:
    """Return the excluded modules' names and patterns, or None where the checkpoint lists none."""
    lists = [found for key in _EXCLUSIONS if (found := fields.words(key)) is not None]
    return [name for names in lists for name in names] if lists else None


def _method(fields: ConfigFields) -> str:
    """Return ``quant_method``; modelopt's separate file and its early configs name only the algorithm."""
    method = fields.word("quant_method")
    if method is None and fields.given("quant_algo"):
        method = "modelopt"
    if method is None and (fields.flag("load_in_4bit") or fields.flag("load_in_8bit")):
        method = "bitsandbytes"
    if method is None:
        raise fields.fault("quant_method", "is missing")
    method = {"modelopt_fp4": "modelopt", "compressed_tensors": "compressed-tensors"}.get(method, method)
    if method not in _SCHEMES:
        known = ", ".join(sorted(_SCHEMES))
        raise fields.source.refusal(f"quant_method '{method[:40]}' is not understood (understood: {known})")
    return method


def _refuse_unknown_keys(fields: ConfigFields) -> None:
    values = fields.source.values
    unknown = [key for key, value in values.items() if key not in _KNOWN_KEYS and not says_nothing(value)]
    odd = [key for key in unknown if not (key == "sparsity_config" and _is_dense(values[key]))]
    if odd:
        raise fields.source.refusal(f"quantisation fields not understood: {', '.join(key[:60] for key in odd)}")


def _is_dense(value: object) -> bool:
    return isinstance(value, Mapping) and value.get("format") == "dense"  # pyright: ignore[reportUnknownMemberType]


# --- one function per quant_method: the format of what it quantises ---


def _fp8(fields: ConfigFields) -> str:
    block = fields.wholes("weight_block_size")
    if block is None:
        return "fp8"
    if block != [128, 128]:
        raise fields.refusal("weight_block_size", "only [128, 128] is understood")
    return "fp8_block"


def _mxfp4(fields: ConfigFields) -> str:
    return "w4a16_mxfp4"


def _modelopt(fields: ConfigFields) -> str:
    if not fields.given("quant_algo") and fields.given("config_groups"):
        return _compressed_tensors(fields)
    name = fields.word("quant_algo")
    if name is None:
        raise fields.fault("quant_algo", "is missing")
    chosen = _MODELOPT.get(name.upper())
    if chosen is None:
        raise fields.refusal("quant_algo", f"is not understood (understood: {', '.join(_MODELOPT)})")
    _check_group(fields, "group_size", _MODELOPT_GROUPS.get(chosen))
    return chosen


def _check_group(fields: ConfigFields, key: str, expected: int | None) -> None:
    size = fields.optional_whole(key, least=-1)
    if expected is not None and size not in (None, expected):
        raise fields.refusal(key, f"only groups of {expected} are understood in this format")


def _awq(fields: ConfigFields) -> str:
    if fields.whole("bits", "w_bit") != 4:
        raise fields.refusal("bits", "only 4 is understood in awq")
    _check_group(fields, "group_size", 128)
    _check_group(fields, "q_group_size", 128)
    return "int4_wo"


def _gptq(fields: ConfigFields) -> str:
    bits = fields.whole("bits")
    if bits not in (4, 8):
        raise fields.refusal("bits", "only 4 and 8 are understood in gptq")
    if bits == 4:
        _check_group(fields, "group_size", 128)
    return "int4_wo" if bits == 4 else "int8_wo"


def _bitsandbytes(fields: ConfigFields) -> str:
    if fields.flag("load_in_4bit") or fields.flag("_load_in_4bit"):
        if not fields.flag("bnb_4bit_use_double_quant"):
            raise fields.refusal("bnb_4bit_use_double_quant", "only true is understood: without it scales take more")
        return "int4_wo"
    if fields.flag("load_in_8bit") or fields.flag("_load_in_8bit"):
        return "int8"
    raise fields.refusal("load_in_4bit", "neither load_in_4bit nor load_in_8bit is true")


def _compressed_tensors(fields: ConfigFields) -> str:
    groups = fields.source.nested("config_groups") if fields.given("config_groups") else None
    if groups is None or not groups.values:
        raise fields.fault("config_groups", "is missing")
    chosen = {_group_format(groups.nested(name)) for name in groups.values}
    if len(chosen) > 1:
        raise groups.refusal(f"config_groups mix {', '.join(sorted(chosen))}: mixed precision is not understood")
    return chosen.pop()


def _group_format(group: ConfigSource) -> str:
    fields = ConfigFields(group)
    if fields.words("targets") not in (None, ["Linear"]):
        raise fields.refusal("targets", "only ['Linear'] is understood")
    if not fields.given("weights"):
        raise fields.fault("weights", "is missing")
    weights = ConfigFields(group.nested("weights"))
    kind = (weights.word("type") or "int", weights.whole("num_bits"), _activations(fields))
    chosen = _TENSOR_FORMATS.get(kind)
    if chosen is None:
        text = f"{kind[0]}{kind[1]} weights with {kind[2] or '16-bit'} activations"
        raise group.refusal(f"quantisation: {text} are not understood")
    return _with_groups(weights, chosen)


_TENSOR_FORMATS: dict[tuple[str, int, str], str] = {
    ("float", 8, "float8"): "fp8",
    ("float", 8, ""): "fp8_wo",
    ("int", 8, "int8"): "int8",
    ("int", 8, ""): "int8_wo",
    ("int", 4, ""): "int4_wo",
    ("int", 4, "float8"): "w4a8",
    ("float", 4, "float4"): "nvfp4",
    ("float", 4, ""): "nvfp4_wo",
}


def _activations(fields: ConfigFields) -> str:
    if not fields.given("input_activations"):
        return ""
    inner = ConfigFields(fields.source.nested("input_activations"))
    return f"{inner.word('type') or 'int'}{inner.whole('num_bits')}"


def _with_groups(weights: ConfigFields, chosen: str) -> str:
    """Return the format with the scales that the weights' strategy gives it; refuse other group sizes."""
    if weights.wholes("block_structure") is not None or weights.word("strategy") == "block":
        if weights.wholes("block_structure") != [128, 128] or chosen != "fp8":
            raise weights.refusal("block_structure", "only fp8 in blocks of [128, 128] is understood")
        return "fp8_block"
    expected = {"int4_wo": 128, "w4a8": 128, "nvfp4": 16, "nvfp4_wo": 16}.get(chosen)
    if expected is None:
        return chosen
    size = weights.optional_whole("group_size", least=-1)
    if chosen == "nvfp4_wo" and size == 32:
        return "w4a16_mxfp4"
    if size != expected:
        raise weights.refusal("group_size", f"only groups of {expected} are understood in {chosen}")
    return chosen


_SCHEMES: dict[str, Callable[[ConfigFields], str]] = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "compressed-tensors": _compressed_tensors,
    "awq": _awq,
    "gptq": _gptq,
    "bitsandbytes": _bitsandbytes,
}


# --- the KV cache ---


def _cache(fields: ConfigFields) -> str | None:
    """Return the KV cache's format, from ``kv_cache_quant_algo`` or ``kv_cache_scheme``, or None if none is said."""
    algorithm = fields.word("kv_cache_quant_algo")
    if algorithm is not None and algorithm.lower() != "none":
        if algorithm.upper() not in _CACHES:
            raise fields.refusal("kv_cache_quant_algo", f"is not understood (understood: {', '.join(_CACHES)})")
        return _CACHES[algorithm.upper()]
    if not fields.given("kv_cache_scheme"):
        return None
    scheme = ConfigFields(fields.source.nested("kv_cache_scheme"))
    kind = f"{scheme.word('type') or 'int'}{scheme.whole('num_bits')}"
    caches = {"float8": "fp8", "int8": "int8", "float4": "fp4"}
    if kind not in caches:
        raise fields.refusal("kv_cache_scheme", f"{kind} is not understood")
    return caches[kind]


def _weights_of(separate: ConfigSource | None) -> ConfigSource | None:
    """Return the ``quantization`` block of a separate file, if it quantises weights."""
    if separate is None:
        return None
    inner = separate.nested("quantization") if "quantization" in separate.values else separate
    return inner if inner.values.get("quant_algo") is not None else None


def _separate_cache(separate: ConfigSource | None) -> str | None:
    if separate is None:
        return None
    return _cache(ConfigFields(separate.nested("quantization") if "quantization" in separate.values else separate))


def quantisation_from(values: Mapping[str, Any], source: ConfigSource) -> Quantisation:
    """Return the ``quantisation`` of a workload file: the names of :class:`Quantisation`'s fields and formats."""
    names = [field.name for field in dataclasses.fields(Quantisation)]
    for key, value in values.items():
        if key not in names:
            raise source.fault(key, f"unknown key '{key}'{did_you_mean(key, names)}")
        if not isinstance(value, str):
            raise source.fault(key, f"must be the name of a precision, not {shown(value)}")
        try:
            find_cache_encoding(value) if key == "kv" else find_format(value)
        except InputError as error:
            raise source.fault(key, str(error)) from None
    base: str = values.get("base", "bfloat16")
    kept: dict[str, Any] = dict.fromkeys(("linear", "attention", "experts", "lm_head"), base)
    return Quantisation(**{**kept, **values})

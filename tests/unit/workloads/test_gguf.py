"""GGUF files: the container byte by byte, its weights counted by hand, and every architecture as a model."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfmodel.api import estimate
from perfmodel.cost.operator_cost import static_dtype
from perfmodel.errors import ImportRefused, InputError, SpecError
from perfmodel.formats import find_format, runnable_format
from perfmodel.ops import Linear
from perfmodel.workloads import load_model
from perfmodel.workloads.importers.ggml_types import GGML_TYPES
from perfmodel.workloads.importers.gguf import hf_config_of, load_gguf_model, quantisation_of, read_gguf
from perfmodel.workloads.importers.gguf_file import TensorInfo, read_gguf_file
from perfmodel.workloads.importers.gguf_weights import total_weights
from perfmodel.workloads.parameters import parameters, weights_bytes
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LatentAttention, MoeFfn
from tests.gguf_writer import BF16, F16, F32, MXFP4, Q4_0, Q4_K, Q6_K, Q8_0, As, Tensor, header, payload, text, write

H, FF, V, HEADS, KV, DIM, LAYERS = 256, 512, 300, 4, 2, 64, 2


def keys(arch: str, **more: Any) -> dict[str, Any]:
    """Metadata of a small model; ``__`` in a name is a dot, ``...`` leaves a key out."""
    usual = {
        "block_count": LAYERS, "context_length": 4096, "embedding_length": H, "feed_forward_length": FF,
        "attention.head_count": HEADS, "attention.head_count_kv": KV, "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 10000.0, "rope.dimension_count": DIM,
    }  # fmt: skip
    usual |= {key.replace("__", "."): value for key, value in more.items()}
    start = {"general.architecture": arch, "general.name": f"Tiny {arch}"}
    return start | {f"{arch}.{key}": value for key, value in usual.items() if value is not ...}


def blocks(*parts: tuple[str, tuple[int, ...]], layers: int = LAYERS, kind: tuple[int, int, int] = F16) -> list[Tensor]:
    found: list[Tensor] = []
    for layer in range(layers):
        found += [Tensor(f"blk.{layer}.{name}", dims, F32 if len(dims) == 1 else kind) for name, dims in parts]
    return found


def ends(*extra: tuple[str, tuple[int, ...]], head: bool = True, norm: bool = True) -> list[Tensor]:
    found = [Tensor("token_embd.weight", (H, V), F16)]
    found += [Tensor("output.weight", (H, V), F16)] if head else []
    found += [Tensor("output_norm.weight", (H,))] if norm else []
    return found + [Tensor(name, dims) for name, dims in extra]


Part = tuple[str, tuple[int, ...]]


def weights(**shapes: tuple[int, ...]) -> list[Part]:
    return [(f"{name}.weight", shape) for name, shape in shapes.items()]


def biases(**shapes: int) -> list[Part]:
    return [(f"{name}.bias", (width,)) for name, width in shapes.items()]


ATTENTION = weights(attn_q=(H, HEADS * DIM), attn_k=(H, KV * DIM), attn_v=(H, KV * DIM), attn_output=(HEADS * DIM, H))
FUSED = weights(attn_qkv=(H, (HEADS + 2 * KV) * DIM), attn_output=(HEADS * DIM, H))
FFN = weights(ffn_gate=(H, FF), ffn_up=(H, FF), ffn_down=(FF, H))
PLAIN = weights(ffn_up=(H, FF), ffn_down=(FF, H))
NORMS = weights(attn_norm=(H,), ffn_norm=(H,))
QK_NORMS = weights(attn_q_norm=(DIM,), attn_k_norm=(DIM,))
POST_NORMS = weights(post_attention_norm=(H,), post_ffw_norm=(H,))
QKV_BIAS = biases(attn_q=HEADS * DIM, attn_k=KV * DIM, attn_v=KV * DIM)
NORM_BIASES = biases(attn_norm=H, ffn_norm=H)
EXPERTS, TOPK, WIDTH = 4, 2, 128


def experts(width: int) -> list[Part]:
    return weights(
        ffn_gate_inp=(H, EXPERTS), ffn_gate_exps=(H, width, EXPERTS), ffn_up_exps=(H, width, EXPERTS),
        ffn_down_exps=(width, H, EXPERTS),
    )  # fmt: skip


ROUTED = {"expert_count": EXPERTS, "expert_used_count": TOPK}
ROPE = ("rope_freqs.weight", (DIM // 2,))


def deepseek() -> list[Tensor]:
    rank, q_rank, rope, nope, value = 128, 256, 32, 64, 64
    latent = weights(
        attn_norm=(H,), ffn_norm=(H,), attn_q_a=(H, q_rank), attn_q_a_norm=(q_rank,),
        attn_q_b=(q_rank, HEADS * (nope + rope)), attn_kv_a_mqa=(H, rank + rope), attn_kv_a_norm=(rank,),
        attn_k_b=(nope, rank, HEADS), attn_v_b=(rank, value, HEADS), attn_output=(HEADS * value, H),
    )  # fmt: skip
    shared = weights(ffn_gate_shexp=(H, WIDTH), ffn_up_shexp=(H, WIDTH), ffn_down_shexp=(WIDTH, H))
    sparse = [*experts(WIDTH), *shared, ("exp_probs_b.bias", (EXPERTS,))]
    dense = blocks(*latent, *FFN, layers=1)
    later = [t._replace(name=t.name.replace("blk.0", "blk.1")) for t in blocks(*latent, *sparse, layers=1)]
    return [*ends(), *dense, *later]


DEEPSEEK = {
    "attention__head_count_kv": 1, "attention__q_lora_rank": 256, "attention__kv_lora_rank": 128,
    "attention__key_length": 160, "attention__value_length": 128, "attention__key_length_mla": 96,
    "attention__value_length_mla": 64, "rope__dimension_count": 32, "leading_dense_block_count": 1,
    "expert_feed_forward_length": WIDTH, "expert_shared_count": 1, "expert_gating_func": 2, **ROUTED,
}  # fmt: skip
GPT_OSS = [
    *ATTENTION, *QKV_BIAS, *biases(attn_output=H), *experts(WIDTH), *weights(attn_norm=(H,), post_attention_norm=(H,)),
    ("ffn_gate_inp.bias", (EXPERTS,)), ("ffn_gate_exps.bias", (WIDTH, EXPERTS)), ("ffn_up_exps.bias", (WIDTH, EXPERTS)),
    ("ffn_down_exps.bias", (H, EXPERTS)), ("attn_sinks.weight", (HEADS,)),
]  # fmt: skip
FALCON_40B = [*FUSED, *PLAIN, *weights(attn_norm=(H,), attn_norm_2=(H,)), *biases(attn_norm=H, attn_norm_2=H)]
FALCON_7B = [
    *weights(attn_qkv=(H, (HEADS + 2) * DIM), attn_output=(H, H), attn_norm=(H,)), *PLAIN, *biases(attn_norm=H)
]  # fmt: skip
STARCODER2 = [*ATTENTION, *QKV_BIAS, *biases(attn_output=H, ffn_up=FF, ffn_down=H), *PLAIN, *NORMS, *NORM_BIASES]
GPT = [
    *weights(attn_qkv=(H, 3 * H), attn_output=(H, H)), *PLAIN, *NORMS, *NORM_BIASES,
    *biases(attn_qkv=3 * H, attn_output=H, ffn_up=FF, ffn_down=H),
]  # fmt: skip
GLM = [*ATTENTION, *QKV_BIAS, *weights(ffn_up=(H, 2 * FF), ffn_down=(FF, H)), *NORMS]
GLM_MOE = [
    *ATTENTION, *QKV_BIAS, *weights(attn_norm=(H,), post_attention_norm=(H,)), *experts(WIDTH),
    *weights(ffn_gate_shexp=(H, WIDTH), ffn_up_shexp=(H, WIDTH), ffn_down_shexp=(WIDTH, H)),
]  # fmt: skip
GEMMA = [*ATTENTION, *FFN, *NORMS]
HEAD_DIM = {"attention__key_length": DIM, "attention__value_length": DIM}
OUTPUT_BIAS = ("output_norm.bias", (H,))
_WIDE_NORMS = weights(attn_q_norm=(HEADS * DIM,), attn_k_norm=(KV * DIM,))

# architecture, the model_type it becomes, metadata, tensors
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any], list[Tensor]]] = {
    "llama": ("llama", "llama", {}, ends(ROPE) + blocks(*ATTENTION, *FFN, *NORMS)),
    "llama, tied, biased": (
        "llama", "llama", {},
        ends(head=False) + blocks(*ATTENTION, *QKV_BIAS, *biases(attn_output=H), *FFN, *NORMS),
    ),
    "mistral": ("llama", "mistral", {"attention__sliding_window": 64}, ends() + blocks(*ATTENTION, *FFN, *NORMS)),
    "mixtral": ("llama", "mixtral", ROUTED, ends() + blocks(*ATTENTION, *experts(FF), *NORMS)),
    "qwen2": ("qwen2", "qwen2", {}, ends() + blocks(*ATTENTION, *QKV_BIAS, *FFN, *NORMS)),
    "qwen3": ("qwen3", "qwen3", HEAD_DIM, ends(head=False) + blocks(*ATTENTION, *QK_NORMS, *FFN, *NORMS)),
    "qwen3moe": (
        "qwen3moe", "qwen3_moe", {**HEAD_DIM, **ROUTED, "expert_feed_forward_length": WIDTH},
        ends() + blocks(*ATTENTION, *QK_NORMS, *experts(WIDTH), *NORMS),
    ),
    "gemma": ("gemma", "gemma", HEAD_DIM, ends(head=False) + blocks(*GEMMA)),
    "gemma2": ("gemma2", "gemma2", HEAD_DIM | {"attention__sliding_window": 64},
               ends(head=False) + blocks(*GEMMA, *POST_NORMS)),
    "gemma3": ("gemma3", "gemma3_text", HEAD_DIM | {"attention__sliding_window": 64},
               ends(head=False) + blocks(*GEMMA, *POST_NORMS, *QK_NORMS)),
    "phi3": ("phi3", "phi3", {"attention__sliding_window": 0}, [
        *ends(("rope_factors_long.weight", (DIM // 2,)), ("rope_factors_short.weight", (DIM // 2,))),
        *blocks(*FUSED, *weights(ffn_up=(H, 2 * FF), ffn_down=(FF, H)), *NORMS),
    ]),
    "starcoder2": ("starcoder2", "starcoder2", {}, ends(OUTPUT_BIAS, head=False) + blocks(*STARCODER2)),
    "gpt2": ("gpt2", "gpt2", {"attention__head_count_kv": ..., "context_length": 128}, [
        *ends(("position_embd.weight", (H, 128)), OUTPUT_BIAS, head=False), *blocks(*GPT),
    ]),
    "gptneox": ("gptneox", "gpt_neox", {"attention__head_count_kv": ..., "use_parallel_residual": True},
                ends(OUTPUT_BIAS) + blocks(*GPT)),
    "falcon 40B": ("falcon", "falcon", {}, ends(OUTPUT_BIAS) + blocks(*FALCON_40B)),
    "falcon 7B": ("falcon", "falcon", {"attention__head_count_kv": 1}, ends(OUTPUT_BIAS) + blocks(*FALCON_7B)),
    "deepseek2": ("deepseek2", "deepseek_v3", DEEPSEEK, deepseek()),
    "command-r": ("command-r", "cohere", {"logit_scale": 0.06},
                  ends(head=False) + blocks(*ATTENTION, *FFN, *weights(attn_norm=(H,)))),
    "cohere2": ("cohere2", "cohere2", {"attention__sliding_window": 64},
                ends(head=False) + blocks(*ATTENTION, *FFN, *weights(attn_norm=(H,)))),
    "olmo": ("olmo", "olmo", {}, ends(norm=False) + blocks(*ATTENTION, *FFN)),
    "olmo2": ("olmo2", "olmo2", {}, ends() + blocks(*ATTENTION, *FFN, *POST_NORMS, *_WIDE_NORMS)),
    "olmoe": ("olmoe", "olmoe", ROUTED, ends() + blocks(*ATTENTION, *experts(FF), *NORMS, *_WIDE_NORMS)),
    "granite": ("granite", "granite", {"embedding_scale": 12.0}, ends() + blocks(*ATTENTION, *FFN, *NORMS)),
    "granitemoe": ("granitemoe", "granitemoe", ROUTED, ends() + blocks(*ATTENTION, *experts(FF), *NORMS)),
    "glm4": ("glm4", "glm4", {}, ends() + blocks(*GLM, *POST_NORMS)),
    "chatglm": ("chatglm", "glm", {}, ends() + blocks(*GLM)),
    "glm4moe": ("glm4moe", "glm4_moe", HEAD_DIM | ROUTED | {
        "expert_feed_forward_length": WIDTH, "expert_shared_count": 1, "nextn_predict_layers": 1, "block_count": 3,
    }, [*ends(), *blocks(*GLM_MOE), Tensor("blk.2.nextn.eh_proj.weight", (2 * H, H), F16)]),
    "gpt-oss": ("gpt-oss", "gpt_oss", HEAD_DIM | ROUTED | {
        "attention__sliding_window": 128, "expert_feed_forward_length": WIDTH,
    }, ends() + blocks(*GPT_OSS)),
    "smollm3": ("smollm3", "smollm3", {}, ends(head=False) + blocks(*ATTENTION, *FFN, *NORMS)),
    "seed_oss": ("seed_oss", "seed_oss", HEAD_DIM,
                 ends() + blocks(*ATTENTION, *QKV_BIAS, *FFN, *weights(attn_norm=(H,), post_attention_norm=(H,)))),
    "arcee": ("arcee", "arcee", {}, ends() + blocks(*ATTENTION, *PLAIN, *NORMS)),
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Write the named architecture, with metadata changed."""

    def make(name: str = "llama", drop: str = "", add: tuple[Tensor, ...] = (), **changes: Any) -> Path:
        arch, _, more, tensors = ARCHITECTURES[name]
        kept = [tensor for tensor in tensors if not drop or drop not in tensor.name]
        return write(tmp_path / "tiny.gguf", keys(arch, **(more | changes)), [*kept, *add])

    return make


# ------------------------------------------------------------------------------------------------ by hand


def q4_k_m() -> list[Tensor]:
    """A llama as llama.cpp's Q4_K_M mixes it: half of the values and of the downward matrices in Q6_K, the head too."""
    found = [
        Tensor("token_embd.weight", (H, V), Q4_K), Tensor("output.weight", (H, V), Q6_K),
        Tensor("output_norm.weight", (H,)), Tensor("rope_freqs.weight", (32,)),
    ]  # fmt: skip
    better = ("blk.0.attn_v.weight", "blk.0.ffn_down.weight")
    layers = blocks(*ATTENTION, *FFN, *NORMS, kind=Q4_K)
    return found + [tensor._replace(kind=Q6_K) if tensor.name in better else tensor for tensor in layers]


def test_a_q4_k_m_mix_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path / "Tiny-Q4_K_M.gguf", keys("llama", vocab_size=V), q4_k_m())
    found = read_gguf(path)
    # a layer's q, k, v, o: 65536 + 32768 + 32768 + 65536; Q4_K is 144 bytes and Q6_K 210 bytes for 256
    attention = found.modules["attention"]
    assert attention.elements == 2 * 196608
    assert attention.bytes == (36864 + 18432 + 26880 + 36864) + (36864 + 18432 + 18432 + 36864)
    assert attention.types == (("Q4_K", 2 * 196608 - 32768), ("Q6_K", 32768))
    assert attention.bytes_per_weight == 229632 / 393216
    linear = found.modules["linear"]
    assert (linear.elements, linear.bytes) == (6 * 131072, 5 * 73728 + 107520)
    assert (found.modules["embedding"].bytes, found.modules["lm_head"].bytes) == (76800 // 256 * 144, 63000)
    assert (found.modules["other"].elements, found.modules["other"].bytes) == (1280, 5120)
    assert (found.uncounted.elements, found.modules["experts"].elements) == (32, 0)
    assert found.parameters == 393216 + 786432 + 76800 + 76800 + 1280
    assert found.elements == found.parameters + 32
    assert found.bytes == 229632 + 476160 + 43200 + 63000 + 5120 + 128
    assert not found.tied_embeddings

    model = load_model(path)
    assert (model.name, model.family, parameters(model)) == ("Tiny-Q4_K_M", "llama", found.parameters)
    assert weights_bytes(model) == pytest.approx(found.bytes - 128, rel=1e-8)
    stored = model.quantisation
    assert (stored.lm_head, stored.kv) == ("q6_k", None)
    assert find_format(stored.attention).weight.bits == pytest.approx(8 * 229632 / 393216)
    assert find_format(stored.linear).weight.bits == pytest.approx(8 * 476160 / 786432)
    assert find_format(stored.base).weight.bits == pytest.approx(8 * (43200 + 5120) / (76800 + 1280))
    (group,) = model.layers
    assert group.mixer == GroupedQueryAttention(HEADS, KV, DIM)
    assert group.ffn == DenseFfn(FF)
    assert model.maximum_tokens == 4096


def llama_8b(layer: int, name: str, mix: str) -> str:
    """Return the type that llama-quantize gives a matrix of Llama 3.1 8B (llama-quant.cpp: use_more_bits)."""
    if mix != "Q4_K_M":
        return mix
    more_bits = layer < 32 // 8 or layer >= 7 * 32 // 8 or (layer - 32 // 8) % 3 == 2
    return "Q6_K" if name == "output" or (more_bits and name in ("attn_v", "ffn_down")) else "Q4_K"


@pytest.mark.parametrize(
    ("mix", "published"), [("Q4_K_M", 4.8944), ("Q6_K", 6.5633), ("Q8_0", 8.5008), ("F16", 16.0005)]
)
def test_published_bits_per_weight(mix: str, published: float) -> None:
    """Bits a weight of Llama 3.1 8B in tools/quantize/README.md of llama.cpp."""
    shapes = {
        "attn_q": (4096, 4096), "attn_k": (4096, 1024), "attn_v": (4096, 1024), "attn_output": (4096, 4096),
        "ffn_gate": (4096, 14336), "ffn_up": (4096, 14336), "ffn_down": (14336, 4096),
    }  # fmt: skip
    by_name = {kind.name: kind for kind in GGML_TYPES.values()}
    tensors = [TensorInfo("norms", (65 * 4096,), by_name["F32"], 0)]
    tensors += [
        TensorInfo(name, (4096, 128256), by_name[llama_8b(0, name, mix)], 0) for name in ("token_embd", "output")
    ]
    for layer in range(32):
        tensors += [TensorInfo(name, dims, by_name[llama_8b(layer, name, mix)], 0) for name, dims in shapes.items()]
    found = total_weights(tensors)
    assert found.elements == 8_030_261_248
    assert 8 * found.bytes_per_weight == pytest.approx(published, abs=5e-5)


def test_it_is_estimated_by_its_bytes(tmp_path: Path) -> None:
    small = load_model(write(tmp_path / "small.gguf", keys("llama"), q4_k_m()))
    large = load_model(
        write(tmp_path / "large.gguf", keys("llama"), ends() + blocks(*ATTENTION, *FFN, *NORMS, kind=BF16))
    )
    fast, slow = (estimate(m, "h100-sxm", batch=1, input_tokens=64, output_tokens=8) for m in (small, large))
    assert fast.tpot_s.bound < slow.tpot_s.bound
    assert fast.tpot_s.bound <= fast.tpot_s.expected


def test_one_type_keeps_its_name(tiny: Callable[..., Path], tmp_path: Path) -> None:
    stored = load_gguf_model(tiny("llama, tied, biased")).quantisation
    assert (stored.attention, stored.linear, stored.lm_head) == ("float16", "float16", "float16")
    for kind, name in ((BF16, "bfloat16"), (F32, "float32"), (Q4_0, "q4_0"), (Q8_0, "q8_0"), (MXFP4, "w4a16_mxfp4")):
        tensors = ends() + blocks(*ATTENTION, *FFN, *NORMS, kind=kind)
        found = quantisation_of(read_gguf(write(tmp_path / "one.gguf", keys("llama"), tensors)))
        assert (found.attention, found.linear) == (name, name)
        assert found.experts == name, "what a model does not have has the format of what it has"


def test_a_tied_head_has_the_embeddings_type(tmp_path: Path) -> None:
    tensors = [t._replace(kind=Q6_K) if t.name == "token_embd.weight" else t for t in q4_k_m()]
    tied = [tensor for tensor in tensors if tensor.name != "output.weight"]
    model = load_model(write(tmp_path / "tied.gguf", keys("llama"), tied))
    assert model.tied_embeddings
    assert model.quantisation.lm_head == "q6_k"


# ------------------------------------------------------------------------------------------------ architectures


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_as_many_parameters_as_its_file(name: str, tiny: Callable[..., Path]) -> None:
    _, family, _, tensors = ARCHITECTURES[name]
    path = tiny(name)
    model, found = load_model(path), read_gguf(path)
    assert model.family == family
    assert parameters(model) == found.parameters
    assert found.elements == sum(tensor.elements for tensor in tensors)
    assert found.bytes == sum(tensor.bytes for tensor in tensors)
    assert weights_bytes(model) == pytest.approx(found.bytes - found.uncounted.bytes, rel=1e-8)
    assert model.tied_embeddings == all(tensor.name != "output.weight" for tensor in tensors)


def test_every_supported_architecture_is_tested(tiny: Callable[..., Path]) -> None:
    path = write(tiny().with_name("odd.gguf"), keys("mamba"), ends())
    with pytest.raises(
        ImportRefused, match=r"GGUF architecture 'mamba' is not supported \(supported: arcee, "
    ) as error:
        load_model(path)
    supported = str(error.value).partition("supported: ")[2].removesuffix(")").split(", ")
    assert set(supported) == {arch for arch, *_ in ARCHITECTURES.values()}


def test_windows(tiny: Callable[..., Path]) -> None:
    def windows(path: Path) -> list[tuple[int, int]]:
        return [
            (g.count, g.mixer.window) for g in load_model(path).layers if isinstance(g.mixer, GroupedQueryAttention)
        ]

    assert windows(tiny("mistral")) == [(2, 64)]
    assert windows(tiny("gemma2")) == [(1, 64), (1, 0)]
    assert windows(tiny("gemma2", attention__sliding_window=...)) == [(1, 4096), (1, 0)]
    assert windows(tiny("gemma3")) == [(2, 64)]
    assert windows(tiny("gemma3", attention__sliding_window_pattern=[False, True])) == [(1, 0), (1, 64)]
    assert windows(tiny("gpt-oss")) == [(1, 128), (1, 0)]
    assert windows(tiny("phi3", attention__sliding_window=64)) == [(2, 64)]
    assert windows(tiny("command-r")) == [(2, 0)]


def test_a_deepseek(tiny: Callable[..., Path]) -> None:
    path = tiny("deepseek2")
    dense, sparse = load_model(path).layers
    assert dense.mixer == LatentAttention(HEADS, 256, 128, 64, 32, 64)
    assert isinstance(dense.ffn, DenseFfn)
    assert sparse.ffn == MoeFfn(EXPERTS, TOPK, WIDTH, shared_intermediate=WIDTH)
    assert read_gguf(path).uncounted.elements == EXPERTS, "the router's correction is a buffer"
    # before llama.cpp split attn_kv_b, files gave the widths of whole keys and values
    old = tiny("deepseek2", attention__key_length=96, attention__value_length=64, attention__key_length_mla=...,
               attention__value_length_mla=..., attention__head_count_kv=HEADS, expert_gating_func=1)  # fmt: skip
    assert load_model(old).family == "deepseek_v2"
    assert load_model(old).layers[0].mixer == dense.mixer


def test_experts_of_old_files_stand_alone(tmp_path: Path) -> None:
    names = [("ffn_gate_inp.weight", (H, EXPERTS))]
    for expert in range(EXPERTS):
        names += weights(**{
            f"ffn_gate.{expert}": (H, FF), f"ffn_up.{expert}": (H, FF), f"ffn_down.{expert}": (FF, H),
        })  # fmt: skip
    path = write(tmp_path / "old.gguf", keys("llama", **ROUTED), ends() + blocks(*ATTENTION, *names, *NORMS))
    assert read_gguf(path).modules["experts"].elements == LAYERS * EXPERTS * 3 * H * FF
    assert load_model(path).family == "mixtral"


def test_a_value_for_each_layer(tiny: Callable[..., Path]) -> None:
    assert load_model(tiny(attention__head_count_kv=[KV, KV], feed_forward_length=[FF, FF])).layer_count == LAYERS
    with pytest.raises(ImportRefused, match=r"llama.attention.head_count_kv = \[2, 1\] differs between layers"):
        load_model(tiny(attention__head_count_kv=[KV, 1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssm__state_size": 16}, "metadata not understood in a llama: llama.ssm.state_size"),
        ({"attention__key_length": 64, "attention__value_length": 32}, "keys of 64 and values of 32"),
        ({"feed_forward_length": 2 * FF}, r"make a llama of \d+ parameters, but its tensors have \d+: this variant"),
        ({"block_count": 3}, "this variant is not understood"),
        ({"drop": "token_embd"}, "has no table token_embd.weight"),
        ({"add": (Tensor("blk.0.attn_extra.weight", (H, H)),)}, "this variant is not understood"),
    ],
)
def test_what_is_not_understood_is_refused(tiny: Callable[..., Path], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ImportRefused, match=message):
        load_model(tiny(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention__head_count": ...}, "llama.attention.head_count: is missing"),
        ({"attention__head_count": "four"}, "llama.attention.head_count: must be a whole number of 0 or more"),
        ({"attention__head_count": As("i32", -4)}, "must be a whole number of 0 or more, not -4"),
        ({"attention__head_count": 0}, "must be at least 1"),
        ({"embedding_length": 128}, "llama.embedding_length: is 128, but token_embd has 256"),
        ({"nextn_predict_layers": 2}, "llama.block_count: leaves 0 layers"),
        ({"attention__head_count_kv": 3}, "must divide"),
    ],
)
def test_bad_values(tiny: Callable[..., Path], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        load_model(tiny(**changes))
    assert "tiny.gguf" in str(error.value)


def test_other_kinds_of_gguf(tmp_path: Path) -> None:
    adapter = write(tmp_path / "lora.gguf", {"general.type": "adapter", "general.architecture": "llama"}, [])
    with pytest.raises(ImportRefused, match=r"no model but a GGUF of general.type 'adapter'"):
        load_model(adapter)
    with pytest.raises(SpecError, match=r"general.architecture: is missing"):
        load_model(write(tmp_path / "bare.gguf", {}, []))
    with pytest.raises(SpecError, match=r"general.architecture: must be a text, not 3"):
        load_model(write(tmp_path / "odd.gguf", {"general.architecture": 3}, []))


def test_the_config_is_that_of_hugging_face(tiny: Callable[..., Path]) -> None:
    assert hf_config_of(read_gguf(tiny())) == {
        "model_type": "llama", "hidden_size": H, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV, "head_dim": None, "intermediate_size": FF, "vocab_size": V,
        "max_position_embeddings": 4096, "tie_word_embeddings": False,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ container


@pytest.mark.parametrize("version", [2, 3])
def test_all_value_types(tmp_path: Path, version: int) -> None:
    values = {
        "u8": As("u8", 255), "i8": As("i8", -128), "u16": As("u16", 65535), "i16": As("i16", -32768),
        "u32": As("u32", 2**32 - 1), "i32": As("i32", -(2**31)), "u64": As("u64", 2**64 - 1),
        "i64": As("i64", -(2**63)), "f32": As("f32", 0.5), "f64": As("f64", 1 / 3), "yes": As("bool", True),
        "no": As("bool", False), "text": "Größe ✓", "empty": "", "bytes": As("[u8]", [1, 2]), "none": As("[str]", []),
        "texts": As("[str]", ["a", "", "ß"]), "flags": As("[bool]", [True, False]), "floats": As("[f32]", [1.5, -2.0]),
        "nested": As("[[i32]]", [[1, 2], [], [-3]]),
    }  # fmt: skip
    found = read_gguf_file(write(tmp_path / "v.gguf", values, [], version))
    assert found.version == version
    assert found.metadata == {key: value.value if isinstance(value, As) else value for key, value in values.items()}
    assert all(isinstance(found.metadata[key], bool) for key in ("yes", "no"))


def test_tensors_and_alignment(tmp_path: Path) -> None:
    tensors = [Tensor("a", (256, 3, 2), Q4_K), Tensor("b", (5,)), Tensor("c", (32, 1, 1, 7), Q8_0)]
    found = read_gguf_file(write(tmp_path / "t.gguf", {"general.alignment": 64}, tensors, alignment=64))
    assert [(t.name, t.dims, t.elements, t.bytes, t.offset) for t in found.tensors] == [
        ("a", (256, 3, 2), 1536, 864, 0),
        ("b", (5,), 5, 20, 896),
        ("c", (32, 1, 1, 7), 224, 238, 960),
    ]


START = b"GGUF" + struct.pack("<I", 3)


def with_values(*values: bytes) -> bytes:
    return START + struct.pack("<QQ", 0, len(values)) + b"".join(values)


def value(key: str | bytes, kind: int, raw: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + raw


def nested(depth: int) -> bytes:
    return struct.pack("<IQ", 9, 1) * depth + struct.pack("<IQB", 0, 1, 7)


def described(
    name: str = "t", dims: tuple[int, ...] = (256,), kind: int = 0, offset: int = 0, count: int = 1, size: int = 4096
) -> bytes:
    one = text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
    return START + struct.pack("<QQ", count, 0) + one * count + bytes(size)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"GG", r"byte 0: does not begin with GGUF but with b'GG'"),
        (b"PK\x03\x04" * 9, "byte 0: does not begin with GGUF"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), r"byte 4: is a big-endian GGUF file \(version 3\)"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "byte 4: has GGUF version 1; versions 2 and 3 are read"),
        (b"GGUF" + struct.pack("<IQQ", 77, 0, 0), "byte 4: has GGUF version 77"),
        (START, "byte 8: the file ends inside the number of tensors"),
        (START + struct.pack("<QQ", 2**60, 0), "byte 8: says 1152921504606846976 tensors, more than the file can hold"),
        (START + struct.pack("<QQ", 0, 2**64 - 1), "byte 16: says 18446744073709551615 metadata values"),
        (with_values(value("k", 13, b"\0")), "byte 33: 'k' has value type 13"),
        (with_values(value("", 0, b"\x01\x01")), "byte 24: empty key"),
        (with_values(value("k", 0, b"\x01"), value("k", 0, b"\x01")), "byte 38: duplicate key"),
        (with_values(value(b"\xff\xfe", 0, b"\x01")), "byte 32: the key of metadata value 0 is not UTF-8"),
        (with_values(value("k", 8, text(b"ok\x80"))), "byte 47: 'k' is not UTF-8"),
        (with_values(value("k", 8, struct.pack("<Q", 2**63))), "byte 37: 'k' says 9223372036854775808 bytes"),
        (with_values(value("k", 8, struct.pack("<Q", 99))), "'k' says 99 bytes, and 0 are left in the file"),
        (with_values(value("k", 7, b"\x02")), "byte 37: 'k' must be 0 or 1, not 2"),
        (with_values(value("k", 9, struct.pack("<IQ", 7, 2) + b"\x01\x03")), "'k' must have items of 0 or 1"),
        (with_values(value("k", 9, struct.pack("<IQ", 4, 2**62))), "'k' says 4611686018427387904 items, more than"),
        (with_values(value("k", 9, struct.pack("<IQ", 8, 2**61))), "more than the file can hold"),
        (with_values(value("k", 9, struct.pack("<IQ", 8, 2) + text("a") + text(b"\x80"))), "byte 66: 'k' is not UTF-8"),
        (with_values(value("k", 9, struct.pack("<IQ", 8, 2) + text("a" * 20) + b"!")), "the file ends inside"),
        (with_values(value("k", 9, struct.pack("<IQ", 99, 0))), "'k' is an array of value type 99"),
        (with_values(value("k", 9, nested(4))), "'k' is nested deeper than 4 arrays"),
        (with_values(value("k", 9, nested(100000))), "'k' is nested deeper than 4 arrays"),
        (with_values(value("general.alignment", 4, struct.pack("<I", 24))), "general.alignment: must be a power of"),
        (with_values(value("general.alignment", 8, text("x"))), "general.alignment: must be a power of two, not 'x'"),
        (described(kind=99), "byte 45: tensor 't' has the unknown ggml type 99"),
        (described(kind=31), r"unknown ggml type 31 \(Q4_0_4_4, which ggml has removed\)"),
        (described(kind=12, dims=(100,)), "tensor 't' has rows of 100, no multiple of the 256 of a Q4_K"),
        (described(dims=(0,)), r"tensor 't' cannot have the shape \(0,\)"),
        (described(dims=(2**40, 2**40)), "cannot have the shape"),
        (described(dims=()), "tensor 't' has 0 dimensions"),
        (described(dims=(1, 1, 1, 1, 1)), "tensor 't' has 5 dimensions"),
        (described(name=""), "tensor 0 has no name"),
        (described(name="x" * 2000), "the name of tensor 0 says 2000 bytes, and 1024 are the most"),
        (described(count=2), "byte 57: a second tensor 't'"),
        (described(offset=8), "tensor 't' lies at offset 8, no multiple of 32"),
        (described(offset=2**63), "ends at byte 9223372036854776896, but the file has"),
        (described(size=1000), "tensor 't' ends at byte 1088, but the file has 1057: it is cut off or damaged"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)  # fmt: skip
def test_faults_name_the_file_and_the_byte(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(raw)
    with pytest.raises(SpecError, match=message) as error:
        read_gguf_file(path)
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value)) < 400


def test_overlapping_tensors(tmp_path: Path) -> None:
    one, other = (text(name) + struct.pack("<IQIQ", 1, 256, 0, 0) for name in "ab")
    path = tmp_path / "bad.gguf"
    path.write_bytes(START + struct.pack("<QQ", 2, 0) + one + other + bytes(4096))
    with pytest.raises(SpecError, match="tensor 'b' overlaps tensor 'a'"):
        read_gguf_file(path)


def test_more_items_than_any_model_has(tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    path.write_bytes(with_values(value("k", 9, struct.pack("<IQ", 0, 2**26))))
    with path.open("r+b") as stream:
        stream.truncate(2**27)
    with pytest.raises(SpecError, match="'k' says 67108864 items, 33554432 in all are the most"):
        read_gguf_file(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.gguf").mkdir()
    for path in (tmp_path / "folder.gguf", tmp_path / "nowhere.gguf"):
        with pytest.raises(SpecError):
            load_model(path)
        with pytest.raises(SpecError, match="cannot be read"):
            read_gguf_file(path)


def test_300_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    tensors = [tensor for tensor in q4_k_m() if "blk.1" not in tensor.name]
    metadata = keys("llama", block_count=1) | {"tokenizer.ggml.tokens": [f"token{i}" for i in range(20)]}
    path = write(tmp_path / "whole.gguf", metadata, tensors)
    whole, length = path.read_bytes(), len(header(metadata, tensors))
    load_gguf_model(path)
    chance, outcomes = random.Random(20240229), {"refused": 0, "read": 0}
    broken = tmp_path / "broken.gguf"
    for attempt in range(300):
        if attempt % 3 == 0:
            raw = bytearray(whole[: chance.randrange(len(whole) if attempt % 2 else length)])
        else:
            raw = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                raw[chance.randrange(length)] = chance.randrange(256)
        broken.write_bytes(raw)
        try:
            model = load_gguf_model(broken)
        except (SpecError, ImportRefused):
            outcomes["refused"] += 1
        else:
            assert parameters(model) == read_gguf(broken).parameters
            outcomes["read"] += 1
    assert outcomes["refused"] > 150
    assert outcomes["read"] > 0


# ------------------------------------------------------------------------------------------------ parts


def split(folder: Path, count: int = 3, **changes: Any) -> Path:
    """Write a llama in parts and return the first."""
    tensors = q4_k_m()
    share = math.ceil(len(tensors) / count)
    for part in range(count):
        metadata = keys("llama") if part == 0 else {}
        metadata |= {"split.no": As("u16", part), "split.count": As("u16", count)}
        metadata |= {"split.tensors.count": As("i32", len(tensors))} | changes
        mine = tensors[part * share : (part + 1) * share]
        write(folder / f"big-{part + 1:05}-of-{count:05}.gguf", metadata, mine)
    return folder / f"big-00001-of-{count:05}.gguf"


def test_a_split_model_is_the_whole_model(tmp_path: Path) -> None:
    whole = load_model(write(tmp_path / "whole.gguf", keys("llama"), q4_k_m()))
    parts = load_model(split(tmp_path))
    assert (parts.name, parts.layers, parts.quantisation) == ("big", whole.layers, whole.quantisation)
    assert parts.spec_hash != whole.spec_hash


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    first = split(tmp_path)
    with pytest.raises(SpecError, match=r"is part 2 of 3: give the first, big-00001-of-00003.gguf"):
        load_model(tmp_path / "big-00002-of-00003.gguf")
    renamed = tmp_path / "renamed.gguf"
    renamed.write_bytes(first.read_bytes())
    with pytest.raises(SpecError, match="is part 1 of 3, but is not named"):
        load_model(renamed)
    second, third = (tmp_path / f"big-0000{part}-of-00003.gguf" for part in (2, 3))
    kept = third.read_bytes()
    third.write_bytes(second.read_bytes())
    with pytest.raises(SpecError, match="says that it is part 2, its name 3"):
        load_gguf_model(first)
    third.write_bytes(kept)
    second.unlink()
    with pytest.raises(SpecError, match=r"is split in 3 parts, and big-00002-of-00003.gguf is not beside it"):
        load_gguf_model(first)


def test_parts_with_too_few_or_too_many_tensors(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="its parts have 22 tensors, not 99"):
        load_gguf_model(split(tmp_path, **{"split.tensors.count": As("i32", 99)}))
    with pytest.raises(SpecError, match="says that it has 5 parts, its name 3"):
        load_gguf_model(split(tmp_path, **{"split.count": As("u16", 5)}))
    first = split(tmp_path, 2)
    second = first.with_name("big-00002-of-00002.gguf")
    write(second, {"split.no": As("u16", 1)}, [Tensor("token_embd.weight", (H, V))])
    with pytest.raises(SpecError, match=r"big-00002-of-00002.gguf: tensor 'token_embd.weight' is in an earlier part"):
        load_gguf_model(first)


# ------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("kind", GGML_TYPES.values(), ids=lambda kind: kind.name)
def test_formats_have_the_bits_of_the_types(kind: Any) -> None:
    named = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "MXFP4": "mxfp4", "NVFP4": "nvfp4_wo"}
    if kind.name in ("I8", "I16", "I32", "I64", "F64"):
        assert kind.bytes_per_weight == int(kind.name[1:]) / 8
    else:
        form = find_format(named.get(kind.name, kind.name))
        assert form.weight.bytes_per_element == kind.bytes_per_weight


@pytest.mark.parametrize(
    ("name", "size", "like"),
    [
        ("ggml_4.85bpw", 4.85 / 8, "int4_wo"), ("Q4_K", 144 / 256, "int4_wo"), ("q6_k", 210 / 256, "int8_wo"),
        ("q8_0", 34 / 32, "int8_wo"), ("ggml_14.5bpw", 14.5 / 8, "bfloat16"), ("ggml_17bpw", 17 / 8, "bfloat16"),
        ("ternary", 0.25, "int4_wo"), ("tq1_0", 54 / 256, "int4_wo"), ("tq2_0", 66 / 256, "int4_wo"),
        ("iq1_s", 50 / 256, "int4_wo"),
    ],
)  # fmt: skip
def test_weight_only_formats(name: str, size: float, like: str) -> None:
    form = find_format(name)
    assert form.weight.bytes_per_element == pytest.approx(size)
    assert (form.compute, form.activation.bits, form.quantises_activations) == ("bfloat16", 16, False)
    assert static_dtype(Linear(1, 1, 1, form)) == like
    volta = runnable_format(name, frozenset({"float16"}))
    assert (volta.compute, volta.weight, volta.calibrated_as) == ("float16", form.weight, like)


def test_sixteen_bits_on_average_are_sixteen_bits() -> None:
    assert find_format("ggml_16bpw") is find_format("bfloat16")


@pytest.mark.parametrize(
    "name", ["ggml_0.1bpw", "ggml_99bpw", "ggml_4.5", "ggml_-4bpw", "ggml_4.5.1bpw", "q4_2", "q7_k"]
)
def test_no_formats(name: str) -> None:
    with pytest.raises(InputError, match="unknown precision"):
        find_format(name)


# ------------------------------------------------------------------------------------------------ gguf-py


def test_gguf_py_reads_what_we_read(tmp_path: Path) -> None:
    """Every quantised type of gguf-py, written by it and read by both."""
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "all.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(7)
    writer.add_array("some.words", ["a", "b"])
    writer.add_float64("some.float", 0.25)
    # Q8_1 takes 36 bytes a block in C and 40 in gguf-py; it is for activations, and in no file
    kinds = [kind for kind in gguf.GGML_QUANT_SIZES if kind.name != "Q8_1"]
    for kind in kinds:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        raw = numpy.zeros((3, 2 * 256 // block * size), dtype=numpy.uint8)
        writer.add_tensor(f"t.{kind.name}", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours, theirs = read_gguf_file(path), gguf.GGUFReader(str(path))
    assert len(ours.tensors) == len(kinds) == len(GGML_TYPES) - 1
    for mine, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert (mine.name, mine.type.code, mine.type.name) == (
            other.name,
            int(other.tensor_type),
            other.tensor_type.name,
        )
        assert (mine.elements, mine.bytes) == (int(other.n_elements), int(other.n_bytes))
        assert list(mine.dims) == [int(dim) for dim in other.shape]
    assert ours.metadata == {
        "general.architecture": "llama", "llama.block_count": 7, "some.words": ["a", "b"], "some.float": 0.25
    }  # fmt: skip


@pytest.mark.parametrize("name", ["llama", "deepseek2", "gpt-oss"])
def test_gguf_py_reads_what_we_write(name: str, tiny: Callable[..., Path]) -> None:
    gguf = pytest.importorskip("gguf")
    path = tiny(name)
    theirs, ours = gguf.GGUFReader(str(path)), read_gguf(path)
    assert ours.elements == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert ours.bytes == sum(int(tensor.n_bytes) for tensor in theirs.tensors)
    arch = next(number for number, text in gguf.MODEL_ARCH_NAMES.items() if text == ours.architecture)
    known = {gguf.TENSOR_NAMES[number] for number in gguf.MODEL_TENSORS[arch]}
    for tensor in ours.file.tensors:
        stem = tensor.name.removesuffix(".weight").removesuffix(".bias")
        assert stem.replace("blk.0.", "blk.{bid}.").replace("blk.1.", "blk.{bid}.") in known


def test_the_writer_of_these_tests_nests() -> None:
    assert payload("[[u8]]", [[1], [2, 3]]) == struct.pack("<IQ", 9, 2) + struct.pack("<IQB", 0, 1, 1) + struct.pack(
        "<IQBB", 0, 2, 2, 3
    )

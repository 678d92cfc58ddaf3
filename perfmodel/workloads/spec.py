"""What has to be computed: a language model as groups of identical layers, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GroupedQueryAttention:
    """Softmax attention with a KV cache; ``kv_heads == heads`` is multi-head, 1 is multi-query.

    ``window`` 0 is full attention. ``qk_norm`` is "none", "head" (gain of head_dim shared by all heads) or "full"
    (a gain over all heads' elements). ``sinks`` adds one learned logit a head.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int = 0
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: str = "none"
    sinks: bool = False


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2): a compressed cache of ``kv_lora_rank + rope_dim`` elements a token.

    ``q_lora_rank`` 0 means that queries are projected directly.
    """

    heads: int
    q_lora_rank: int
    kv_lora_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    bias: bool = False


@dataclass(frozen=True)
class DenseFfn:
    """A feed-forward block; gated ones (SwiGLU) have three matrices, plain ones two."""

    intermediate: int
    gated: bool = True
    bias: bool = False


@dataclass(frozen=True)
class MoeFfn:
    """Routed experts, with shared experts as one dense block of width ``shared_intermediate`` (0: none).

    ``shared_gate`` counts a learned gate of one output on the shared block; ``expert_bias`` biases in the experts.
    """

    experts: int
    topk: int
    intermediate: int
    shared_intermediate: int = 0
    gated: bool = True
    router_bias: bool = False
    expert_bias: bool = False
    shared_gate: bool = False


@dataclass(frozen=True)
class LayerGroup:
    """``count`` identical layers; ``norms`` is how many norm gains and biases of width ``hidden`` each has.

    ``norm_operators`` are the norms that run. In a ``parallel`` layer attention and feed-forward network both read the
    normed input, and their sum is reduced once.
    """

    count: int
    attention: GroupedQueryAttention | LatentAttention
    ffn: DenseFfn | MoeFfn
    norms: int = 2
    norm_operators: int = 2
    parallel: bool = False


@dataclass(frozen=True)
class Quantisation:
    """Precisions as the checkpoint stores them (names of :mod:`perfmodel.formats`); ``kv`` None: nothing said.

    Embedding, router, norms and (unless ``lm_head`` says otherwise) the output head stay in the 16-bit ``base``.
    """

    base: str = "bfloat16"
    linear: str = "bfloat16"
    attention: str = "bfloat16"
    experts: str = "bfloat16"
    lm_head: str = "bfloat16"
    kv: str | None = None


@dataclass(frozen=True)
class LanguageModel:
    """A decoder-only transformer. ``layers`` are in order of first appearance; order does not change any count.

    ``final_norms`` are the gains and biases of the last norm, ``extra`` further parameters by name (a table of
    positions, the embedding's norm), ``towers`` those of parts that are not the language model (a vision tower).

    ``source`` says where the numbers come from, and ``verified`` whether they were read there rather than remembered;
    ``published_parameters`` is the cited count, if any, and ``published_source`` where it is cited from.
    """

    name: str
    family: str
    hidden: int
    vocabulary: int
    layers: tuple[LayerGroup, ...]
    tied_embeddings: bool = False
    lm_head_bias: bool = False
    maximum_tokens: int = 0
    quantisation: Quantisation = field(default_factory=Quantisation)
    source: str = ""
    published_parameters: int | None = None
    published_source: str = ""
    verified: bool = True
    spec_hash: str = ""
    path: str = ""
    final_norms: int = 1
    extra: tuple[tuple[str, int], ...] = ()
    towers: tuple[tuple[str, int], ...] = ()

    @property
    def layer_count(self) -> int:
        """Return how many layers the model has."""
        return sum(group.count for group in self.layers)

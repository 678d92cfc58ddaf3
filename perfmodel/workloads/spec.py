"""What has to be computed: a language model as groups of identical layers, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GroupedQueryAttention:
    """Softmax attention with a KV cache; ``kv_heads == heads`` is multi-head, 1 is multi-query.

    ``window`` 0 is full attention; ``chunked`` ones attend within chunks of that length instead. ``v_head_dim`` 0 is
    ``head_dim``. ``qk_norm`` is "none", "head" (a gain of head_dim shared by all heads) or "full" (a gain over all
    heads' elements). ``sinks`` adds one learned logit a head. ``output_gate`` is "none", "element" (a gate for each
    element of the output, from the input) or "head" (one a head). ``shared_values`` have no matrix of their own: keys
    before rotation are the values too. ``shared_cache`` attends to the keys and values of an earlier layer.
    ``rotated`` says whether queries and keys are rotated; ``causal`` is False in an encoder.
    """

    heads: int
    kv_heads: int
    head_dim: int
    window: int = 0
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: str = "none"
    sinks: bool = False
    v_head_dim: int = 0
    output_gate: str = "none"
    shared_values: bool = False
    shared_cache: bool = False
    chunked: bool = False
    rotated: bool = True
    causal: bool = True

    @property
    def value_dim(self) -> int:
        """Return the width of a head's values."""
        return self.v_head_dim or self.head_dim


@dataclass(frozen=True)
class Indexer:
    """What chooses the ``topk`` cached entries that a query attends to: small heads that share one key a token.

    Source: DeepSeek-V3.2-Exp (2025), section 1: ``score = sum over heads of w*relu(q.k)``. ``shared`` ones use the
    choice of an earlier layer and have no weights.
    """

    heads: int
    dim: int
    topk: int
    shared: bool = False


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2): a compressed cache of ``kv_lora_rank + rope_dim`` elements a token.

    ``q_lora_rank`` 0 means that queries are projected directly. With an ``indexer`` only the chosen tokens are
    attended to (DeepSeek-V3.2).
    """

    heads: int
    q_lora_rank: int
    kv_lora_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    bias: bool = False
    indexer: Indexer | None = None


@dataclass(frozen=True)
class CompressedAttention:
    """Attention to a window of tokens and to compressed entries of ``rate`` tokens each (DeepSeek-V4).

    One vector of ``head_dim`` is key and value of all heads. ``rate`` 0 has the window alone. ``overlapping`` entries
    are made from two windows, by twice as many features. The ``indexer``, over compressed keys of its own, chooses
    ``topk`` entries. The output is projected in ``output_groups`` groups to ``output_rank`` each, then to the width.
    """

    heads: int
    head_dim: int
    rope_dim: int
    q_lora_rank: int
    window: int
    output_groups: int
    output_rank: int
    rate: int = 0
    overlapping: bool = False
    indexer: Indexer | None = None


@dataclass(frozen=True)
class RecurrentMixer:
    """A mixer that remembers a fixed state: state-space models, linear attention, delta rules, gated recurrences.

    Each of ``heads`` keeps ``key_dim x value_dim`` elements; ``key_heads`` of them have keys and queries of their own.
    ``rule`` says how a token changes the state: "decay" (``S <- a*S + k v'``: Mamba-2, lightning attention), "delta"
    (the old value of the key is taken out first: gated delta net, Kimi delta attention) or "element" (each element on
    its own: Mamba-1, RWKV-4, RG-LRU). ``key_dim`` 0 has no state but that of the convolution. ``gates`` is how many
    gate values a token brings.

    ``in_width`` are the outputs of the projections of the input, ``middle`` further matrices as (inputs, outputs),
    ``out_in`` the inputs of the output projection; ``conv_channels`` pass a causal convolution of ``conv_kernel``
    taps. ``small`` counts the parameters that are no matrix: convolution, gains, biases, decays.
    ``state_element_bytes`` is what an element of the state takes, ``slots`` how many states each element keeps.
    """

    rule: str
    heads: int
    key_heads: int
    key_dim: int
    value_dim: int
    in_width: int
    out_in: int
    gates: int = 0
    middle: tuple[tuple[int, int], ...] = ()
    conv_channels: int = 0
    conv_kernel: int = 0
    small: int = 0
    norm_width: int = 0
    state_element_bytes: float = 4.0

    @property
    def state_elements(self) -> int:
        """Return the elements of the recurrent state of a sequence, all heads together."""
        return self.heads * self.key_dim * self.value_dim


@dataclass(frozen=True)
class CrossAttention:
    """Attention of a decoder's tokens to what the encoder made of the input, cached once a request."""

    heads: int
    kv_heads: int
    head_dim: int
    source_hidden: int
    bias: int = 0


@dataclass(frozen=True)
class LinearBlock:
    """A block that was replaced by one square matrix (or, with ``outputs`` 0, by nothing at all)."""

    outputs: int = 0


@dataclass(frozen=True)
class DenseFfn:
    """A feed-forward block; gated ones (SwiGLU) have three matrices, plain ones two."""

    intermediate: int
    gated: bool = True
    bias: bool = False


@dataclass(frozen=True)
class MemoryFfn:
    """A product-key memory (Lample et al. 2019): each of ``heads`` queries picks ``topk`` of ``keys**2`` values.

    A query of ``key_dim`` is matched by halves with two tables of ``keys`` sub-keys; the chosen values of the model's
    width are gathered and summed. ``shared_values`` says that another layer's table of values is used.
    """

    keys: int
    heads: int
    key_dim: int
    topk: int
    shared_values: bool = False


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters beside every linear layer of a block: ``adapters`` of them in use at once, of ``rank``.

    ``targets`` "attention" are the projections of attention alone, "all" the feed-forward network's too.
    Source: LoRA (Hu et al. 2021); many at once as S-LoRA and Punica serve them (2023).
    """

    rank: int
    adapters: int = 1
    targets: str = "all"


@dataclass(frozen=True)
class MoeFfn:
    """Routed experts, with shared experts as one dense block of width ``shared_intermediate`` (0: none).

    ``shared_gate`` counts a learned gate of one output on the shared block; ``expert_bias`` biases in the experts.
    ``latent`` is the width that tokens are projected to before and after the routed experts (0: the model's).
    ``router_extra`` counts further parameters of the router that are no matrix.
    ``identities`` are further choices of the router that pass a token through unchanged.
    """

    experts: int
    topk: int
    intermediate: int
    shared_intermediate: int = 0
    gated: bool = True
    router_bias: bool = False
    expert_bias: bool = False
    shared_gate: bool = False
    latent: int = 0
    router_extra: int = 0
    identities: int = 0


Mixer = GroupedQueryAttention | LatentAttention | CompressedAttention | RecurrentMixer | LinearBlock
Ffn = DenseFfn | MoeFfn | LinearBlock | MemoryFfn


def mixer_width(mixer: Mixer) -> int:
    """Return the elements of a token's queries, all heads together (of a recurrence: of what it projects)."""
    if isinstance(mixer, LatentAttention):
        return mixer.heads * (mixer.nope_dim + mixer.rope_dim)
    if isinstance(mixer, RecurrentMixer):
        return mixer.in_width
    return mixer.outputs if isinstance(mixer, LinearBlock) else mixer.heads * mixer.head_dim


@dataclass(frozen=True)
class LayerGroup:
    """``count`` identical layers; ``norms`` is how many norm gains and biases of width ``hidden`` each has.

    ``mixer`` or ``ffn`` None: the layer has none. ``second`` is a further mixer that reads the same normed input as the
    first, their outputs added (a hybrid head). ``norm_operators`` are the norms that run. In a ``parallel`` layer
    attention and feed-forward network both read the normed input, and their sum is reduced once. ``cross`` attends to
    an encoder's output. ``streams`` above 1 are hyper-connections: as many residual streams, mixed before and after
    each block. ``side_width`` is that of an input of the layer's own (per-layer embeddings), ``other`` counts
    parameters that belong to none of these.

    ``share`` of the decoded tokens, and ``prompt_share`` of those of prompts, run the layer; the others skip it (early
    exit, layer skipping, mixture of depths). ``keeps_skipped`` says that skipped tokens leave keys and values all the
    same (early exit copies the state), ``exits`` that the output head looks at the layer's output to decide.
    """

    count: int
    mixer: Mixer | None
    ffn: Ffn | None
    norms: int = 2
    norm_operators: int = 2
    parallel: bool = False
    second: Mixer | None = None
    cross: CrossAttention | None = None
    streams: int = 1
    side_width: int = 0
    other: int = 0
    share: float = 1.0
    prompt_share: float = 1.0
    keeps_skipped: bool = True
    exits: bool = False
    lora: Lora | None = None

    @property
    def mixers(self) -> tuple[Mixer, ...]:
        """Return the layer's mixers: none, one or two."""
        return tuple(mixer for mixer in (self.mixer, self.second) if mixer is not None)


@dataclass(frozen=True)
class Encoder:
    """The encoder of an encoder-decoder model: it reads the input once, without a mask and without a cache.

    ``matrices`` are the products before its layers (convolutions) as (rows an input token, inputs, outputs).
    """

    hidden: int
    layers: tuple[LayerGroup, ...]
    extra: tuple[tuple[str, int], ...] = ()
    matrices: tuple[tuple[int, int, int], ...] = ()

    @property
    def layer_count(self) -> int:
        """Return how many layers the encoder has."""
        return sum(group.count for group in self.layers)


@dataclass(frozen=True)
class Tower:
    """A part beside the language model, such as a vision tower, which runs once for each image.

    ``parameters`` counts all of it; ``layers`` of width ``hidden`` see ``tokens`` patches of an image of the usual size
    and attend to all of them (``attended`` of them, if not 0: windows); ``matrices`` are the products beside the layers
    as (rows an image, inputs, outputs). ``output_tokens`` is what the language model is given for an image.
    """

    name: str
    parameters: int
    hidden: int = 0
    layers: tuple[LayerGroup, ...] = ()
    tokens: int = 0
    attended: int = 0
    matrices: tuple[tuple[int, int, int], ...] = ()
    output_tokens: int = 0


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
    """A language model: a decoder, with an ``encoder`` before it or alone.

    ``layers`` are in order of first appearance; order does not change any count. ``generates`` is False for an encoder
    alone, which answers with one forward pass. ``final_norms`` are the gains and biases of the last norm, ``head`` the
    matrices between it and the logits as (inputs, outputs), ``extra`` further parameters by name (a table of positions,
    the embedding's norm), ``towers`` the parts that are not the language model. ``embedding_width`` 0 is ``hidden``.
    ``mtp_parameters`` are those of multi-token-prediction modules in the checkpoint, which no other count holds, and
    ``mtp`` the layer of such a module.

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
    towers: tuple[Tower, ...] = ()
    encoder: Encoder | None = None
    generates: bool = True
    has_head: bool = True
    head: tuple[tuple[int, int], ...] = ()
    embedding_width: int = 0
    mtp_parameters: int = 0
    mtp: LayerGroup | None = None

    @property
    def layer_count(self) -> int:
        """Return how many layers the model has."""
        return sum(group.count for group in self.layers)

"""BERT4Rec against transformers' BERT: parameters exact, flops equal but for the scores of all places and items."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network
from tests.diffusion_oracle import Call, counted, meta, transformers, whole

pytestmark = pytest.mark.slow

SIZES: dict[str, tuple[int, int, int]] = {
    "bert4rec-ml-1m": (3420, 64, 2), "bert4rec-ml-1m-256": (3420, 256, 8), "bert4rec-ml-20m": (26748, 64, 2),
    "bert4rec-beauty": (54546, 64, 2), "bert4rec-steam": (13048, 64, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_counts(name: str) -> None:
    network = load_network(name)
    assert isinstance(network, Network)
    rows, hidden, heads = SIZES[name]
    (length,) = network.inputs[0]
    config: Any = transformers.BertConfig(
        vocab_size=rows, hidden_size=hidden, num_hidden_layers=2, num_attention_heads=heads,
        intermediate_size=4 * hidden, max_position_embeddings=length, type_vocab_size=2,
    )  # fmt: skip
    oracle = counted(Call(meta(transformers.BertForMaskedLM, config), {"input_ids": whole(length)}))
    assert network.parameters == oracle.parameters
    head = 2 * hidden * (length * (hidden + rows) - (hidden + 1))  # of all places and items, less of one of each
    assert network.matmul_flops == oracle.flops - head

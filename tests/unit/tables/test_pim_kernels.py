"""Tables of products in memory: the device's own dtype, what is refused, and the choice of engine in a model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from perfmodel import api
from perfmodel.cost.machine import machine_for
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.formats import Encoding, runnable_format
from perfmodel.ops import AttentionDecode, Linear
from perfmodel.tables.kernels import run_kernels


def answers(text: str, folder: Path) -> pd.DataFrame:
    (folder / "in.csv").write_text(text)
    run_kernels(str(folder / "in.csv"), str(folder / "out.csv"))
    return pd.read_csv(folder / "out.csv")


def test_rows_of_several_devices(tmp_path: Path) -> None:
    found = answers(
        "op,device,m,n,batch,dtype\npim_gemv,hbm2-pim,4096,4096,4,\npim_gemv,hbm2-pim,4096,4096,8,\n"
        "pim_gemv,gddr6-aim,4096,4096,1,bfloat16\npim_gemv,duplex,4096,4096,1,fp8\npim_gemv,h100-sxm,64,64,1,\n",
        tmp_path,
    )
    assert found.latency_us[0] == pytest.approx(51.2, rel=0.01)
    assert found.latency_us[1] - 0.3 == pytest.approx(2 * (found.latency_us[0] - 0.3), rel=1e-5)
    assert found.error[:3].isna().all()
    assert "leave dtype out" in found.error[3]
    assert "no engine that computes in memory" in found.error[4]
    right = found[:3]
    assert ((right.bound_us <= right.p10_us) & (right.p10_us <= right.latency_us)).all()


def test_each_operator_goes_where_it_takes_least() -> None:
    machine = machine_for(load_device("attacc"))
    names = [name for name, _ in machine.engines]
    assert names == ["xpu", "bank"]
    one = AttentionDecode(64.0, 4096.0, 64.0, 64.0, 128.0, cache=Encoding("float16", 16))
    xpu, bank = (engine.expected_s(one, machine.chip, machine) for _, engine in machine.engines)
    assert bank < 0.5 * xpu, "attention without groups reads its cache in the banks"
    assert operator_cost(one, machine).expected_s == bank
    wide = Linear(512.0, 4096.0, 4096.0, runnable_format("bfloat16", frozenset(machine.chip.peaks)))
    xpu, bank = (engine.expected_s(wide, machine.chip, machine) for _, engine in machine.engines)
    assert operator_cost(wide, machine).expected_s == xpu < bank, "a batch is reused by the processor alone"


def test_decode_of_a_model_with_attention_in_memory() -> None:
    # GPT-3-like: no groups of queries, so that attention is bound by the cache
    plain = api.estimate("llama-2-7b", "attacc", batch=64, input_tokens=3000, phase="decode")
    rows = {row["name"]: row for row in plain.report()["operators"] if row["phase"] == "decode"}
    cache_s = rows["attention_decode"]["expected_s"]
    read_s = 64 * 3000 * 2 * 32 * 128 * 2 / load_device("attacc").main_bandwidth_bytes_per_s * 32
    assert cache_s < 0.4 * read_s, "faster than the stacks could send the cache out"

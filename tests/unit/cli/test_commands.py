"""The commands, each once with what is its own."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from tests.conftest import Cli

QUESTION = ("llama-3.1-8b", "--on", "h100-sxm")


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text)))


def test_estimate_prints_the_answer(cli: Cli) -> None:
    found = cli("estimate", *QUESTION)
    assert (found.code, found.err) == (0, "")
    assert all(word in found.out for word in ("llama-3.1-8b", "h100-sxm", "TTFT", "TPOT", "tokens/s"))


def test_estimate_writes_files_beside_json(cli: Cli, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.csv.gz", "r.html", "r.xlsx")]
    found = cli("estimate", *QUESTION, "--json", "--csv", files[0], "--html", files[1], "--xlsx", files[2])
    assert found.code == 0
    assert found.err == "".join(f"wrote {file}\n" for file in files)
    assert json.loads(found.out)["inputs"]["model"] == "llama-3.1-8b"
    rows = table(gzip.decompress(files[0].read_bytes()).decode())
    assert {row["phase"] for row in rows} == {"prefill", "decode"}
    assert files[1].read_text().startswith("<!")
    assert files[2].read_bytes()[:2] == b"PK"


def test_csv_to_standard_output_is_alone(cli: Cli) -> None:
    found = cli("estimate", *QUESTION, "--csv", "-")
    assert len(table(found.out)) > 10
    assert found.err == ""


def test_estimate_takes_pools(cli: Cli) -> None:
    found = cli("estimate", *QUESTION, "--prefill-workers", "2", "--decode-tp", "2", "--json")
    inputs = json.loads(found.out)["inputs"]
    assert (inputs["mode"], inputs["prefill_workers"], inputs["decode_tp"], inputs["devices"]) == ("disagg", 2, 2, 4)


def test_counts_may_be_written_as_floats(cli: Cli) -> None:
    assert json.loads(cli("estimate", *QUESTION, "--batch", "4.0", "--json").out)["inputs"]["batch"] == 4


def test_ops_is_one_static_step(cli: Cli) -> None:
    answer = json.loads(cli("ops", *QUESTION, "--phase", "decode", "--batch", "8", "--json").out)
    assert {row["phase"] for row in answer["operators"]} == {"decode"}
    text = cli("ops", *QUESTION, "--phase", "prefill").out
    assert "attention_prefill" in text
    assert "bound" in text.splitlines()[-1]


def test_sweep_shows_a_table_and_says_what_it_left_out(cli: Cli) -> None:
    found = cli("sweep", *QUESTION, "--batch", "1,2", "--tp", "1,3")
    assert found.code == 0
    assert len(found.out.splitlines()) == 3
    assert "tp=3" in found.err
    assert "does not divide" in found.err


def test_a_long_table_is_cut(cli: Cli) -> None:
    found = cli("sweep", *QUESTION, "--batch", "1:100:1")
    assert len(found.out.splitlines()) == 41
    assert "40 of 100 points" in found.err


def test_sweep_json_and_csv_agree(cli: Cli, tmp_path: Path) -> None:
    axes = ("--batch", "1,4", "--input", "128,256")
    answer = json.loads(cli("sweep", *QUESTION, *axes, "--json").out)
    assert cli("sweep", *QUESTION, *axes, "--csv", tmp_path / "g.csv").code == 0
    rows = table((tmp_path / "g.csv").read_text())
    printed = table(cli("sweep", *QUESTION, *axes, "--csv", "-").out)
    assert len(answer["rows"]) == len(rows) == len(printed) == 4
    for one, other, third in zip(answer["rows"], rows, printed, strict=True):
        assert one["tpot_s"] == pytest.approx(float(other["tpot_s"]), rel=1e-5)
        assert one["tpot_s"] == pytest.approx(float(third["tpot_s"]), rel=1e-5)


def test_a_grid_too_large_for_json_is_refused(cli: Cli) -> None:
    found = cli("sweep", *QUESTION, "--batch", "1:1000:1", "--input", "1:1000:1", "--json")
    assert found.code == 2
    assert "use --csv" in found.err


def test_explain(cli: Cli) -> None:
    answer = json.loads(cli("explain", "tpot", *QUESTION, "--symbols", "input_tokens,bandwidth", "--json").out)
    assert "BW" in answer["bound"]
    assert answer["symbols"]["bandwidth"]["value"] == pytest.approx(3.35e12)
    assert "\\" in cli("explain", "tpot", *QUESTION, "--latex").out
    text = cli("explain", "ttft", *QUESTION).out
    assert "TTFT =" in text
    assert "gate_up_proj" in text


def test_run_and_kernels(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "model,device,batch,input_tokens,output_tokens,mine\n"
        "llama-3.1-8b,h100-sxm,4.0,1024,128,a\n"
        "llama-3.1-8b,nowhere,1,1024,128,b\n"
    )
    found = cli("run", tmp_path / "s.csv", "--out", tmp_path / "r.csv")
    assert (found.code, found.out) == (0, "")
    assert found.err.startswith("2 rows, 1 answered, 1 with an error")
    assert "1 x no device 'nowhere'" in found.err
    rows = table((tmp_path / "r.csv").read_text())
    assert [row["mine"] for row in rows] == ["a", "b"]
    assert float(rows[0]["tpot_ms"]) > 0
    (tmp_path / "k.csv").write_text("op,device,dtype,m,n,k\ngemm,h100-sxm,bfloat16,128,4096,4096\n")
    found = cli("kernels", tmp_path / "k.csv", "--out", "-")
    assert float(table(found.out)[0]["latency_us"]) > 0
    assert found.err == "1 rows, 1 answered, 0 with an error\n"


def test_model_show_counts_as_the_definitions_say(cli: Cli) -> None:
    size = json.loads(cli("model", "show", "llama-3.1-8b", "--json").out)
    assert size["parameters"] == 8_030_261_248
    assert size["kv_bytes_per_token"] == 32 * 2 * 8 * 128 * 2
    words = ("model", "show", "llama-3.1-8b", "--json", "--batch", "2", "--input", "512", "--logits", "all")
    causal, square = json.loads(cli(*words).out), json.loads(cli(*words, "--no-causal").out)
    # 2 flops a weight and token, and for attention scores and values 4*heads*head_dim*pairs a layer
    linear = 2 * 2 * 512 * (size["parameters"] - 128_256 * 4096 - 65 * 4096)
    assert square["matmul_flops"] == linear + 2 * 32 * 4 * 32 * 128 * 512 * 512
    assert causal["matmul_flops"] == linear + 2 * 32 * 4 * 32 * 128 * (512 * 513 / 2)


def test_model_show_in_words(cli: Cli) -> None:
    found = cli("model", "show", "llama-3.1-8b", "--input", "128")
    assert "8,030,261,248" in found.out
    assert "matmul_flops" in found.out


def test_model_import_gives_a_file_that_loads(cli: Cli, tmp_path: Path) -> None:
    shown = json.loads(cli("model", "show", "llama-3.1-8b", "--json").out)
    config = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 128256,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "hidden_act": "silu",
        "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "torch_dtype": "bfloat16",
        "max_position_embeddings": 131072,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert cli("model", "import", tmp_path, "--name", "mine", "--out", tmp_path / "mine.yaml").code == 0
    mine = json.loads(cli("model", "show", tmp_path / "mine.yaml", "--json").out)
    assert (mine["name"], mine["parameters"]) == ("mine", shown["parameters"])
    assert "name: mine" in cli("model", "import", tmp_path, "--name", "mine").out


def test_lists(cli: Cli) -> None:
    assert "llama-3.1-8b" in cli("model", "list").out
    devices = json.loads(cli("device", "list", "--json").out)["devices"]
    assert next(d for d in devices if d["name"] == "h100-sxm")["memory_bandwidth_bytes_per_s"] == pytest.approx(3.35e12)


def test_device_show_and_diff(cli: Cli) -> None:
    shown = cli("device", "show", "h100-sxm").out
    assert "3.35 TB/s" in shown
    assert "source" in shown
    assert "x1.43" in cli("device", "diff", "h100-sxm", "h200-sxm").out
    same = cli("device", "diff", "h100-sxm", "NVIDIA H100 SXM5")
    assert (same.out, same.err) == ("", "h100-sxm and h100-sxm state the same\n")


def test_the_libraries_have_no_errors(cli: Cli) -> None:
    assert cli("device", "check").code == 0
    assert cli("model", "check", "--kind", "language").code == 0  # tests/contract/test_networks.py has the networks


def test_a_broken_file_is_a_finding(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("schema: device/1\nname: bad\n")
    found = cli("device", "check", tmp_path / "bad.yaml", "--json")
    assert found.code == 5
    assert json.loads(found.out)["errors"] == 1


def test_user_folders_come_first(cli: Cli, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (root / "hardware_specs/gpu/h100-sxm.yaml").read_text().replace("name: h100-sxm", "name: mine")
    (tmp_path / "mine.yaml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("aliases")))
    monkeypatch.setenv("PERFMODEL_SPECS", str(tmp_path))
    assert "mine" in cli("device", "list").out

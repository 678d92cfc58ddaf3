"""Networks of diffusion: published counts, layers worked by hand, pipelines and their parts, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError, SpecError, UnknownNameError
from perfmodel.workloads.network import Network, NetworkPipeline, Stage
from perfmodel.workloads.networks.diffusion import diffusion
from perfmodel.workloads.networks.library import load_network, load_variants

FOLDER = Path(__file__).parents[3] / "workloads/diffusion"
FILES = {path.stem: load_variants(path) for path in sorted(FOLDER.glob("*.yaml"))}
PARTS = [n for file, found in FILES.items() if not file.startswith("text-to") for n in found]
PIPELINES = [n for file, found in FILES.items() if file.startswith("text-to") for n in found]
PUBLISHED = [n for found in FILES.values() for n, variant in found.items() if variant.published]


def part(name: str, **changes: object) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


def pipeline(name: str, **changes: object) -> NetworkPipeline:
    network = load_network(name, **changes)
    assert isinstance(network, NetworkPipeline)
    return network


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    network = part(name)
    assert network.parameters == network.published_parameters or network.published_parameters is None
    if network.published_macs is not None:  # the paper prints hundredths of a thousand million
        assert network.matmul_flops / 2 == pytest.approx(network.published_macs, rel=0.001, abs=0.005e9)


@pytest.mark.parametrize("name", [*PARTS[::5], *PIPELINES[::4]])
def test_whole(name: str) -> None:
    """What a network reads stands before it, and shapes are whole numbers."""
    found = load_network(name)
    stages = found.stages if isinstance(found, NetworkPipeline) else (Stage(found),)
    for stage in stages:
        for index, node in enumerate(stage.network.nodes):
            assert all(value < index for value in node.inputs)
            assert all(isinstance(n, int) and n > 0 for n in node.shape)


def test_a_residual_block_by_hand() -> None:
    """The second level's first block of Stable Diffusion 1.5: 320 to 640 channels at 32x32 of a 64x64 latent."""
    nodes = [n for n in part("stable-diffusion-1.5-unet").nodes if n.name.startswith("down1.0.")]
    residual = [n for n in nodes if n.name.split(".")[2] in ("norm1", "conv1", "time", "norm2", "conv2", "shortcut")]
    weights = 9 * 320 * 640 + 640 + 1280 * 640 + 640 + 9 * 640 * 640 + 640 + 320 * 640 + 640
    assert sum(n.parameters for n in residual) == weights + 2 * 320 + 2 * 640
    assert {n.shape for n in residual if n.name.endswith(("conv1", "conv2"))} == {(640, 32, 32)}


def test_a_double_layer_by_hand() -> None:
    """A double layer of Flux: modulation, query, key and value, projection, two norms of heads and an MLP, twice."""
    layer = sum(n.parameters for n in part("flux.1-dev-transformer").nodes if n.block == "double.0")
    d = 3072
    stream = (6 * d * d + 6 * d) + (3 * d * d + 3 * d) + (d * d + d) + 2 * 128 + (8 * d * d + 5 * d)
    assert layer == 2 * stream


def test_stable_diffusion() -> None:
    """50 steps over two copies, two prompts, one image; the parts are what they are alone."""
    found = pipeline("stable-diffusion-1.5")
    encoder, denoiser, decoder = found.stages
    assert (encoder.repeat, encoder.copies) == (1, 2)
    assert (denoiser.repeat, denoiser.copies) == (50, 2)
    assert (decoder.repeat, decoder.copies) == (1, 1)
    assert denoiser.network.matmul_flops == part("stable-diffusion-1.5-unet").matmul_flops
    assert found.parameters == 123_060_480 + 859_520_964 + 49_490_199
    assert found.sample == "image"


@pytest.mark.parametrize(
    ("name", "steps", "copies"),
    [("flux.1-dev", 50, 1), ("flux.1-schnell", 4, 1), ("stable-diffusion-3.5-large", 28, 2), ("sdxl-turbo", 1, 1)],
)
def test_guidance(name: str, steps: int, copies: int) -> None:
    found = pipeline(name)
    assert [(s.repeat, s.copies) for s in found.stages][-2] == (steps, copies)
    assert {s.copies for s in found.stages[:-1]} == {copies}


def test_fields_reach_the_parts() -> None:
    found = pipeline("wan-2.1-1.3b", height=240, width=416, frames=17, steps=3, guidance=False)
    encoder, denoiser, decoder = found.stages
    assert denoiser.network.inputs[0] == (16, 5, 30, 52)
    assert decoder.network.shape_of(decoder.network.outputs[0]) == (3, 17, 240, 416)
    assert (denoiser.repeat, denoiser.copies, encoder.copies) == (3, 1, 1)
    assert found.sample == "video"
    text = pipeline("stable-diffusion-3-medium", text_tokens=128).stages
    assert [s.network.inputs[0] for s in text[:3]] == [(77,), (77,), (128,)]
    assert text[3].network.inputs[2] == (128 + 77, 4096)


def test_a_refiner_takes_the_last_steps() -> None:
    stages = pipeline("sdxl-with-refiner").stages
    assert [(s.network.name, s.repeat) for s in stages[2:4]] == [("sdxl-unet", 40), ("sdxl-refiner-unet", 10)]


def test_tiles() -> None:
    """129 frames in steps of 12 by tiles of 17, 720 and 1280 pixels in steps of 192 by 256: what they cover, overlap
    and all."""
    decoder = pipeline("hunyuan-video").stages[-1]
    assert decoder.network.inputs[0] == (16, 5, 32, 32)
    frames, rows, columns = (10 * 17 + 9) / 17, (3 * 256 + 144) / 256, (6 * 256 + 128) / 256
    assert decoder.repeat == pytest.approx(frames * rows * columns)


def test_a_pipeline_of_ones_own() -> None:
    unet = {"network": "stable-diffusion-1.5-unet", "channels": [64, 128], "attention": [0, 1], "heads": 2}
    found = diffusion("mine", unet, decoder="stable-diffusion-1.5-vae-decoder", steps=2, height=128, width=128)
    assert isinstance(found, NetworkPipeline)
    assert [s.network.inputs[0] for s in found.stages] == [(4, 16, 16), (4, 16, 16)]


def test_refusals() -> None:
    with pytest.raises(InputError, match="attention is"):
        load_network("stable-diffusion-1.5-unet", attention=[[1, 1, 1], 1, 1, 0])
    with pytest.raises(InputError, match="norm of queries and keys"):
        load_network("flux.1-dev-transformer", qk_norm="batch")
    with pytest.raises(UnknownNameError, match=r"stable-diffusion-1\.5-unet"):
        diffusion("mine", "stable-diffusion-1.5-une")
    with pytest.raises(SpecError, match="is a pipeline"):
        diffusion("mine", "stable-diffusion-1.5")

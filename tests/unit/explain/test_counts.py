"""Counts as formulas: they give back the counts of the networks that they are of, at sizes nobody fitted them on."""

from __future__ import annotations

from fractions import Fraction

import pytest

from perfmodel.errors import InputError
from perfmodel.explain.counts import at, explain_counts, interpolated, usual_field
from perfmodel.workloads.networks.library import load_network


def value(growth: object, **numbers: float) -> float:
    """Return a formula's value with its symbols at numbers, by the letters."""
    formula = growth.formula  # type: ignore[attr-defined]
    return float(formula.subs({s: numbers[str(s)] for s, _, _ in growth.symbols.values()}))  # type: ignore[attr-defined]


def test_polynomials_through_points() -> None:
    places, wanted = [1, 2, 5, 7, 11], [Fraction(n**4 - 3 * n + 2) for n in (1, 2, 5, 7, 11)]
    found = interpolated(places, wanted)
    assert found == [2, -3, 0, 0, 1]
    assert at(found, Fraction(100)) == 100**4 - 300 + 2


def test_a_cnn_grows_with_the_square_of_its_image() -> None:
    (macs,) = explain_counts("resnet18", "macs", ["image"], {})
    assert macs.exact
    assert "multiple of 32" in macs.condition
    assert value(macs, s=224) == macs.value == load_network("resnet18").matmul_flops / 2
    assert value(macs, s=640) == load_network("resnet18", image=640).matmul_flops / 2
    (elements,) = explain_counts("resnet18", "activations", ["image"], {})
    assert value(elements, s=320) == load_network("resnet18", image=320).activation_elements  # type: ignore[union-attr]


def test_a_transformer_grows_with_the_fourth_power() -> None:
    (macs,) = explain_counts("vit_tiny_patch16_224", "macs", ["image"], {})
    assert "multiple of 16" in macs.condition
    assert value(macs, s=480) == load_network("vit_tiny_patch16_224", image=480).matmul_flops / 2
    # scores and values of 12 blocks: 2*192 multiply-accumulates for each pair of (s/16)^2 + 1 tokens
    assert macs.formula.as_poly().LC() == pytest.approx(12 * 2 * 192 / 16**4)


def test_parameters_do_not_grow_with_the_image_and_bytes_follow_them() -> None:
    (count,) = explain_counts("resnet18", "parameters", ["image"], {})
    assert count.formula == 11_689_512
    (weights,) = explain_counts("resnet18", "weights", ["image"], {}, "int8")
    assert weights.formula == 11_689_512
    assert explain_counts("resnet18", "weights", ["image"], {})[0].formula == 2 * 11_689_512


def test_depth_is_linear_in_each_stage() -> None:
    (count,) = explain_counts("resnet18", "parameters", ["depths"], {})
    assert value(count, d_1=3, d_2=4, d_3=6, d_4=3) == load_network("resnet34").parameters
    (depth,) = explain_counts("vit_tiny_patch16_224", "parameters", ["depth"], {})
    assert value(depth, d=24) == load_network("vit_tiny_patch16_224", depth=24).parameters


def test_width_is_exact_where_channels_are_and_leading_order_where_they_are_rounded() -> None:
    (exact,) = explain_counts("resnet50", "parameters", ["widths"], {})
    assert exact.exact
    assert value(exact, m=9) == load_network("resnet50", widths=[9 * n for n in (64, 128, 256, 512)]).parameters
    (leading,) = explain_counts("mobilenetv2_100", "parameters", ["width"], {})
    assert not leading.exact
    assert "leading order" in leading.condition
    assert leading.formula.as_poly().degree() == 2


def test_changes_hold_for_all_sizes() -> None:
    (count,) = explain_counts("resnet18", "macs", ["image"], {"classes": 10})
    assert value(count, s=224) == load_network("resnet18", classes=10).matmul_flops / 2


def test_without_images_the_field_must_be_named() -> None:
    with pytest.raises(InputError, match="--symbols rows"):
        usual_field("dlrm-mlperf")
    (macs,) = explain_counts("dlrm-mlperf", "macs", ["lookups"], {})
    assert float(macs.formula) == load_network("dlrm-mlperf").matmul_flops / 2


def test_pipelines_count_all_their_runs() -> None:
    assert usual_field("sdxl") == "height"
    (macs,) = explain_counts("stable-diffusion-1.5", "macs", ["steps"], {})
    assert value(macs, n=20) == pytest.approx(load_network("stable-diffusion-1.5", steps=20).matmul_flops / 2)


@pytest.mark.parametrize(
    ("name", "metric", "field", "said"),
    [
        ("resnet18", "flops", "image", "unknown count 'flops'"),
        ("resnet18", "macs", "imag", "did you mean 'image'"),
        ("resnet18", "macs", "block", "only numbers and lists of them can vary"),
        ("net.onnx", "macs", "image", "a graph is one network"),
    ],
)
def test_what_cannot_be_explained(name: str, metric: str, field: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        explain_counts(name, metric, [field], {})

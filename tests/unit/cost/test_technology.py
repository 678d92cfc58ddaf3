"""Energy and area of parts: between nodes, by kind of memory, of whole chips, and the fit on known dies."""

from __future__ import annotations

import pytest

from perfmodel.calibration import load_calibration
from perfmodel.cost.area import bare_parts, die_area
from perfmodel.cost.energy import energy_facts
from perfmodel.cost.technology import technology
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.fitting.area import NAMES, fit, known_dies, left_out

KNOWN = technology()


def test_figures_at_their_own_nodes() -> None:
    assert KNOWN.mac_j("float16", 45.0) == pytest.approx(1.5e-12)
    assert KNOWN.mac_j("int8", 7.0) == pytest.approx(0.1e-12), "a product of 8 bits is added up in 32"
    assert KNOWN.mac_j("bfloat16", 7.0) == pytest.approx(0.32e-12)
    assert KNOWN.mac_mm2("float32", 45.0) == pytest.approx(0.0077 + 0.004184)
    assert KNOWN.sram_mm2(2**20, 7.0) == pytest.approx(8 * 2**20 * 0.027e-6)
    assert KNOWN.sram_j_per_byte(1024.0, 22.0) == pytest.approx(8 * 0.0041e-12)


@pytest.mark.parametrize("dtype", ["int8", "fp8", "fp4", "bfloat16", "float16", "tf32", "float32"])
def test_smaller_nodes_take_less(dtype: str) -> None:
    nodes = (45.0, 28.0, 20.0, 16.0, 7.0, 5.0, 4.0, 3.0)
    for of in (KNOWN.mac_j, KNOWN.mac_mm2):
        found = [of(dtype, node) for node in nodes]
        assert found == sorted(found, reverse=True)
        assert found[0] > 2 * found[-1] > 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [("HBM3e", "hbm3e"), ("HBM2, four stacks", "hbm2"), ("GDDR6X", "gddr6x"), ("LPDDR5X-8533", "lpddr5"), ("Z", "")],
)
def test_kinds_of_memory(name: str, kind: str) -> None:
    assert KNOWN.memory_type(name) == kind


def test_interfaces_are_known_or_refused() -> None:
    assert KNOWN.interface_mm2("hbm3e", 2e12) == 2 * KNOWN.interface_mm2("hbm2", 1e12)
    with pytest.raises(InputError, match="no area is known of interfaces of 'tape'"):
        KNOWN.interface_mm2("tape", 1e12)


def test_a_chip_is_the_sum_of_its_parts() -> None:
    found = die_area(load_device("h100-sxm"))
    assert found.mm2 == found.stated_mm2 == 814
    assert found.modelled_mm2 == pytest.approx(814, rel=0.4)
    sram = 4.317 * KNOWN.sram_mm2(50 * 2**20, 4.0)
    assert found.sram_mm2 == pytest.approx(sram, rel=0.01)
    assert found.interface_mm2 == bare_parts(load_device("h100-sxm"))[3] > 50


def test_the_carried_fit_is_that_of_the_known_dies() -> None:
    dies = known_dies()
    assert len({die.architecture for die in dies}) >= 8
    carried = load_calibration("area").coefficients()
    assert [carried[name] for name in NAMES] == pytest.approx(fit(dies), rel=2e-3)
    off = [abs(x) for x in left_out(dies)]
    assert sum(off) / len(off) < 0.25, "each architecture left out"


def test_an_unmeasured_gpu_takes_its_energy_from_its_memory() -> None:
    a100, l4 = (energy_facts(load_device(name)) for name in ("a100-sxm-80gb", "l4"))
    assert a100 is not None
    assert l4 is not None
    # GDDR6 takes 1.5 pJ/bit more than HBM2e; what the chip itself adds is the same
    assert l4.j_per_byte - a100.j_per_byte == pytest.approx(8 * 1.5e-12, rel=1e-6)
    assert l4.j_per_kv_byte == pytest.approx(l4.j_per_byte * 1.163, rel=1e-3)

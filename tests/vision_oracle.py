"""Published implementations of vision networks as an oracle: parameters and flops of timm's and torchvision's modules.

Needs torch (the CPU build will do), timm and torchvision; tests that import this skip where they are not. torchvision's
compiled operators are not needed: they are declared, and never run.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
from functools import lru_cache
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")


def _declare_operators() -> None:
    """Declare torchvision's operators, so that it can be imported where its library of them cannot be loaded."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("could not import 'torchvision'", allow_module_level=True)
    text = (pathlib.Path(next(iter(spec.submodule_search_locations))) / "_meta_registrations.py").read_text()
    names = re.findall(r'register_meta\("(\w+)"\)|register_fake\("torchvision::(\w+)"\)', text)
    library = torch.library.Library("torchvision", "FRAGMENT")
    _KEPT.append(library)
    for name in sorted({a or b for a, b in names}):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor x) -> Tensor")


_KEPT: list[Any] = []
_declare_operators()


class Counted(NamedTuple):
    """Learned numbers, and flops of convolutions and matrix products for one sample."""

    parameters: int
    flops: int


def count(module: Any, *inputs: Any) -> Counted:
    """Return parameters and flops of a module on the meta device."""
    from torch.utils.flop_counter import FlopCounterMode

    module = module.to("meta").eval().requires_grad_(False)  # views of learned queries would want a graph
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*(torch.empty(shape, device="meta") for shape in inputs))
    return Counted(sum(p.numel() for p in module.parameters()), counter.get_total_flops())


@lru_cache(maxsize=256)
def timm_count(name: str, image: int | None = None, **options: Any) -> Counted:
    """Return what timm's network of that name counts, at its own image size unless one is given."""
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        module = timm.create_model(name, **options)
    size = (3, image, image) if image else module.pretrained_cfg["input_size"]
    return count(module, (1, *size))


@lru_cache(maxsize=256)
def torchvision_count(name: str, image: int = 224, **options: Any) -> Counted:
    """Return what torchvision's network of that name counts."""
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        module = models.get_model(name, **options)
    return count(module, (1, 3, image, image))

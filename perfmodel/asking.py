"""One call for both kinds of workloads: a language model is asked for its tokens, any other network for its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from perfmodel.api import Estimate
from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.network_api import NetworkEstimate
from perfmodel.workloads.network import AnyNetwork, Network, NetworkPipeline
from perfmodel.workloads.spec import LanguageModel

if TYPE_CHECKING:
    from perfmodel.sweeps import Sweep


@overload
def estimate(model: LanguageModel, device: str | Path | Device, **options: Any) -> Estimate: ...


@overload
def estimate(model: AnyNetwork, device: str | Path | Device, **options: Any) -> NetworkEstimate: ...


@overload
def estimate(model: str | Path, device: str | Path | Device, **options: Any) -> Any: ...


def estimate(model: str | Path | LanguageModel | AnyNetwork, device: str | Path | Device, **options: Any) -> Any:
    """Return how fast and how big a model is on a device: :class:`Estimate` or :class:`NetworkEstimate`.

    A language model takes the options of :func:`perfmodel.api.estimate` (batch, input_tokens, output_tokens, tp ...),
    a network those of :func:`perfmodel.network_api.estimate_network` (batch, image, precision, engine ...).

    Errors: :class:`PerfmodelError` with what is wrong and how to mend it.
    """
    if is_network(model):
        from perfmodel.network_api import estimate_network

        assert not isinstance(model, LanguageModel)
        return estimate_network(model, device, **options)
    from perfmodel.api import estimate as estimate_model

    assert not isinstance(model, (Network, NetworkPipeline))
    _refuse_network_options(options)
    return estimate_model(model, device, **options)


def sweep(model: str | Path | LanguageModel | AnyNetwork, device: str | Path | Device, **options: Any) -> Sweep:
    """Return the full factorial grid of answers, or stream it to the CSV file ``out``.

    A language model takes the options of :func:`perfmodel.sweeps.grid.sweep`. A network takes those of
    :func:`perfmodel.sweeps.networks.sweep_network`, where every option with several values is an axis:
    ``batch=[1, 8], image=[224, 288], precision=["float16", "int8"]``.
    """
    if not is_network(model):
        from perfmodel.sweeps.grid import sweep as sweep_model

        assert not isinstance(model, (Network, NetworkPipeline))
        return sweep_model(model, device, **options)
    from perfmodel.sweeps.networks import sweep_network

    assert not isinstance(model, LanguageModel)
    own = ("batch", "vary", "layers")
    axes = {name: values for name, values in options.items() if name not in own and _several(values)}
    others = {name: value for name, value in options.items() if name not in axes and name != "vary"}
    return sweep_network(model, device, **others, vary={**axes, **options.get("vary", {})})


def _several(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, (str, Path, Mapping))


def is_network(model: str | Path | LanguageModel | AnyNetwork) -> bool:
    """Say whether a workload, given or named, is a network rather than a language model."""
    if isinstance(model, (str, Path)):
        from perfmodel.workloads.kinds import NETWORK, kind_of

        return kind_of(str(model)) == NETWORK
    return not isinstance(model, LanguageModel)


def _refuse_network_options(options: dict[str, Any]) -> None:
    for name in ("image", "fusion", "layers", "sparsity"):
        if name in options:
            raise InputError(f"language models have no option '{name}'")

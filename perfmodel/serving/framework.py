"""What a serving framework adds to the kernels: host time between steps, waiting for slots, and its error bands."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.calibration import Band, Coefficients, load_calibration
from perfmodel.numeric import Number, maximum
from perfmodel.serving.timed import StepTime, Time


@dataclass(frozen=True)
class Framework:
    """Coefficients of one serving framework ("" is bare kernels) in one mode (agg, disagg).

    ``decode_stretch`` and ``decode_host_s``: a decode step takes ``stretch*kernels + host``; the same for prefill.
    ``first_host_us``, ``mix_share``, ``queue_share``: TTFT of a closed loop is ``first_host + mix_share*mix +
    queue_share*(requests - 1)*extra``, mix being a step with one prompt in it and extra what the prompt adds; the
    other ``1 - queue_share`` of the extra times delay the tokens after the first.
    """

    engine: str
    mode: str
    coefficients: Coefficients
    ttft_band: Band | None
    tpot_band: Band | None

    def decode(self, kernels: Time, tokens_per_step: float = 1.0) -> Time:
        """Return the time of a decode step with the framework around it.

        Where drafts are checked, of a token that is kept: the host works once a step, for ``tokens_per_step`` of them.
        """
        return self._around(kernels, "decode", self.tpot_band, tokens_per_step)

    def prefill(self, kernels: Time) -> Time:
        """Return the time of a prefill step with the framework around it."""
        return self._around(kernels, "prefill", self.ttft_band)

    def crowded(self, step: StepTime) -> Number | None:
        """Return what a prompt takes of a step full of prompts, the framework's time shared too (None: not known)."""
        if step.crowded_s is None:
            return None
        stretch, host = self.coefficients["prefill_stretch"], self.coefficients["prefill_host_us"] * 1e-6
        return (step.crowded_s * stretch + host) / step.rounds

    def _around(self, kernels: Time, kind: str, band: Band | None, tokens: float = 1.0) -> Time:
        stretch, host = self.coefficients[f"{kind}_stretch"], self.coefficients[f"{kind}_host_us"] * 1e-6
        host = host if tokens == 1.0 else host / tokens
        expected = kernels.expected * stretch + host
        if not isinstance(stretch, float) or stretch < 1.0:
            expected = maximum(expected, kernels.bound)
        if band is not None:
            return banded(kernels.bound, expected, band)
        low, high = (maximum(t * stretch + host, kernels.bound) for t in (kernels.p10, kernels.p90))
        return Time(kernels.bound, expected, low, high)


def banded(bound: Number, expected: Number, band: Band) -> Time:
    """Return a time with a band given by factors, cut off at the bound."""
    expected = maximum(expected, bound)
    return Time(bound, expected, maximum(expected * band.p10, bound), expected * band.p90)


def load_framework(engine: str, mode: str, *, loop: bool, dtype: str = "") -> Framework:
    """Return the framework's coefficients; without an engine only kernels count and bands come from the kernels.

    ``dtype`` is that of the linear layers: engines fuse the quantisation of activations that kernels were timed with.
    """
    calibration = load_calibration("serving")
    situation = {"engine": engine, "mode": mode, "dtype": dtype}
    if not (engine and loop):
        return Framework(engine, mode, calibration.coefficients(**situation), None, None)
    bands = [calibration.band(measured="true", metric=metric, **situation) for metric in ("ttft", "tpot")]
    return Framework(engine, mode, calibration.coefficients(**situation), *bands)

"""Main-memory traffic of a convolution through a buffer: the optimum over five schedules, and its bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfmodel.cost.tiling.gemm import optimal_gemm
from perfmodel.cost.tiling.result import Tiling, least, tile_sizes, up, widest
from perfmodel.errors import PlanError
from perfmodel.numeric import Number, maximum, sqrt


@dataclass(frozen=True)
class ConvShape:
    """A convolution of one group: ``height`` x ``width`` outputs of ``outputs`` channels from ``inputs`` channels."""

    height: int
    width: int
    kernel_height: int
    kernel_width: int
    inputs: int
    outputs: int
    stride: int = 1
    batch: int = 1

    @property
    def taps(self) -> int:
        """Return the elements of one kernel of one channel."""
        return self.kernel_height * self.kernel_width

    @property
    def weights(self) -> int:
        """Return the elements of all kernels."""
        return self.taps * self.inputs * self.outputs

    @property
    def results(self) -> int:
        """Return the output elements of one sample."""
        return self.height * self.width * self.outputs

    def rows(self, tile: int) -> int:
        """Return the input rows that ``tile`` output rows read: those that a stride leaps over are not read."""
        return _span(tile, self.stride, self.kernel_height)

    def columns(self, tile: int) -> int:
        """Return the input columns that ``tile`` output columns read."""
        return _span(tile, self.stride, self.kernel_width)

    def patch(self, ty: int, tx: int) -> int:
        """Return the inputs of one channel that a tile of outputs reads."""
        return self.rows(ty) * self.columns(tx)

    def patches(self, ty: int, tx: int) -> int:
        """Return the inputs of one channel that all tiles read together: their edges overlap."""
        return _spans(self.height, ty, self.stride, self.kernel_height) * _spans(
            self.width, tx, self.stride, self.kernel_width
        )


def _span(tile: int, stride: int, kernel: int) -> int:
    return (tile - 1) * min(stride, kernel) + kernel


def _spans(extent: int, tile: int, stride: int, kernel: int) -> int:
    step, parts = min(stride, kernel), up(extent, tile)
    return (extent - parts) * step + parts * kernel


def optimal_conv(shape: ConvShape, words: int, *, divisors: bool = False) -> Tiling:
    """Return the tiling of a convolution that moves fewest words through a buffer of ``words``.

    With tiles ty x tx of outputs, tk output and tc input channels, an input patch of a tile ``p``, F taps:

    - output stationary: ``ty*tx*tk + p + F*tk <= S``; inputs for each fold of K, weights for each tile, outputs once
    - input stationary: ``p*tc + F*tc + ty*tx <= S``; inputs once a tile, weights for each tile, ``2*ceil(C/tc)-1``
      times the outputs
    - weight stationary with FH input rows in a line buffer: ``F*tk*tc + FH*IX*tc + tk <= S``; weights once, inputs for
      each fold of K, partial outputs as above
    - weight stationary with patches: ``F*tk*tc + p*tc + ty*tx*tk <= S``, the overlap of patches read again
    - a kernel of 1 x 1: the product of all positions

    Equal to brute force over all tiles and loop orders on small convolutions (tests/property/test_tiling.py). A batch
    repeats the first two; weights that stay serve all samples.
    Errors: :class:`PlanError` if not one element of each fits. Omits: padding that is not stored, 3D kernels.
    """
    found = [
        *_output_stationary(shape, words, divisors), *_input_stationary(shape, words, divisors),
        *_weight_stationary_rows(shape, words, divisors), *_weight_stationary_patches(shape, words, divisors),
        *_as_product(shape, words, divisors),
    ]  # fmt: skip
    return least(found, words, "the convolution")


def _output_stationary(s: ConvShape, words: int, divisors: bool) -> Iterator[Tiling]:
    for ty in tile_sizes(s.height, divisors):
        for tx in tile_sizes(s.width, divisors):
            patch = s.patch(ty, tx)
            tk = widest((words - patch) // (ty * tx + s.taps), s.outputs, divisors) if words > patch else 0
            if tk < 1:
                break  # a wider tile fits even less
            moved = (
                s.batch * s.inputs * s.patches(ty, tx) * up(s.outputs, tk),
                s.batch * s.weights * up(s.height, ty) * up(s.width, tx),
                s.batch * s.results,
            )
            used = ty * tx * tk + patch + s.taps * tk
            yield Tiling("output-stationary", {"y": ty, "x": tx, "k": tk, "c": 1}, *moved, buffer_words=used)


def _input_stationary(s: ConvShape, words: int, divisors: bool) -> Iterator[Tiling]:
    for ty in tile_sizes(s.height, divisors):
        for tx in tile_sizes(s.width, divisors):
            each = s.patch(ty, tx) + s.taps
            tc = widest((words - ty * tx) // each, s.inputs, divisors) if words > ty * tx else 0
            if tc < 1:
                break
            moved = (
                s.batch * s.inputs * s.patches(ty, tx),
                s.batch * s.weights * up(s.height, ty) * up(s.width, tx),
                s.batch * s.results * (2 * up(s.inputs, tc) - 1),
            )
            tiles = {"y": ty, "x": tx, "k": 1, "c": tc}
            yield Tiling("input-stationary", tiles, *moved, buffer_words=each * tc + ty * tx)


def _weight_stationary_rows(s: ConvShape, words: int, divisors: bool) -> Iterator[Tiling]:
    line = s.kernel_height * s.columns(s.width)
    for tk in tile_sizes(s.outputs, divisors):
        each = s.taps * tk + line
        tc = widest((words - tk) // each, s.inputs, divisors) if words > tk else 0
        if tc < 1:
            break
        moved = (
            s.batch * s.inputs * s.patch(s.height, s.width) * up(s.outputs, tk),
            s.weights,
            s.batch * s.results * (2 * up(s.inputs, tc) - 1),
        )
        tiles = {"y": 1, "x": s.width, "k": tk, "c": tc}
        yield Tiling("weight-stationary-rows", tiles, *moved, buffer_words=each * tc + tk)


def _weight_stationary_patches(s: ConvShape, words: int, divisors: bool) -> Iterator[Tiling]:
    for ty in tile_sizes(s.height, divisors):
        for tx in tile_sizes(s.width, divisors):
            if s.patch(ty, tx) + ty * tx >= words:
                break
            for tk in tile_sizes(s.outputs, divisors):
                each, held = s.taps * tk + s.patch(ty, tx), ty * tx * tk
                tc = widest((words - held) // each, s.inputs, divisors) if words > held else 0
                if tc < 1:
                    break
                moved = (
                    s.batch * s.inputs * s.patches(ty, tx) * up(s.outputs, tk),
                    s.weights,
                    s.batch * s.results * (2 * up(s.inputs, tc) - 1),
                )
                tiles = {"y": ty, "x": tx, "k": tk, "c": tc}
                yield Tiling("weight-stationary", tiles, *moved, buffer_words=each * tc + held)


def _as_product(s: ConvShape, words: int, divisors: bool) -> Iterator[Tiling]:
    if s.taps == 1:
        try:
            found = optimal_gemm(s.batch * s.height * s.width, s.outputs, s.inputs, words, divisors=divisors)
        except PlanError:
            return
        tiles = {"positions": found.tiles["m"], "k": found.tiles["n"], "c": found.tiles["k"]}
        moved = found.input_words, found.weight_words, found.output_words
        yield Tiling(found.schedule, tiles, *moved, buffer_words=found.buffer_words)


def conv_bound(macs: Number, compulsory: Number, taps: Number, stride: Number, words: Number) -> Number:
    """Return the fewest words that any schedule moves: ``max(compulsory, 2*MACs/sqrt(S*FH*FW/s^2))``.

    ``compulsory`` is every input that is read, every weight and every output once.
    Source: Chen, Han and Wang, "Communication Lower Bound in Convolution Accelerators" (arXiv 1911.05662), theorem 2.
    """
    reuse = maximum(taps / (stride * stride), 1.0)
    return maximum(compulsory, 2.0 * macs / sqrt(words * reuse))

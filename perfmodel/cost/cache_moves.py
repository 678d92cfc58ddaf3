"""Moving a cache or computing it again: seconds of both, and where they are equal."""

from __future__ import annotations

from perfmodel.numeric import Number, maximum, sqrt, where


def load_s(
    cache_bytes: Number, bytes_per_s: Number, latency_s: Number = 0.0, compression: Number = 1.0
) -> Number:  # fmt: skip
    """Return the seconds in which a stored cache is back: ``latency + bytes/(compression*rate)``.

    ``compression`` is how many times fewer bytes are stored and moved. Source: CacheGen (Liu et al. 2023), section 4.
    Omits: decompression, which runs beside the transfer.
    """
    return latency_s + cache_bytes / (compression * bytes_per_s)


def swap_s(cache_bytes: Number, bytes_per_s: Number) -> Number:
    """Return the seconds of a cache's way to the host and back: ``2*bytes/rate``.

    Source: vLLM (Kwon et al. 2023), section 4.5, which compares it with computing the cache anew.
    """
    return 2.0 * cache_bytes / bytes_per_s


def break_even_bytes_per_s(
    cache_bytes: Number, computing_s: Number, latency_s: Number = 0.0, compression: Number = 1.0
) -> Number:  # fmt: skip
    """Return the rate above which loading is quicker than computing: ``bytes/(compression*(computing - latency))``.

    Infinite where the latency alone is longer.
    """
    left = computing_s - latency_s
    return where(left > 0.0, cache_bytes / (compression * maximum(left, 1e-30)), float("inf"))


def break_even_tokens(
    linear_s: Number, square_s: Number, loading_s: Number, latency_s: Number = 0.0
) -> Number:  # fmt: skip
    """Return the length from which loading is quicker than computing, all in seconds.

    Computing n tokens takes ``linear*n + square*n^2`` (products, and attention among them), loading
    ``latency + loading*n``, with ``loading`` the bytes of a token over ``compression*rate``. They are equal at

        ``n = (s + sqrt(s^2 + 4*square*latency))/(2*square)``  with  ``s = loading - linear``

    Attention makes long prompts dear to compute, so that from there on loading wins. 0 where it wins at once; without
    the square (``square = 0``) ``latency/(linear - loading)``, infinite where a token loads slower than it is computed.
    """
    s = loading_s - linear_s
    root = (s + sqrt(s * s + 4.0 * square_s * latency_s)) / (2.0 * maximum(square_s, 1e-300))
    straight = where(s < 0.0, latency_s / maximum(-s, 1e-300), float("inf"))
    return where(square_s > 0.0, maximum(root, 0.0), straight)


def quadratic(first_tokens: Number, first_s: Number, second_tokens: Number, second_s: Number) -> tuple[Number, Number]:
    """Return (linear, square) of ``linear*n + square*n^2`` through two prefills, for :func:`break_even_tokens`.

    ``square = (t2/n2 - t1/n1)/(n2 - n1)``, at least 0; ``linear = t2/n2 - square*n2``.
    """
    each = first_s / first_tokens, second_s / second_tokens
    square = maximum((each[1] - each[0]) / (second_tokens - first_tokens), 0.0)
    return each[1] - square * second_tokens, square

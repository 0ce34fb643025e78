"""Mean, spread and Welch's t-test: is this group of runs better than that one, or was it luck?

Own code, so that `compare` needs neither scipy nor numpy. The p-value comes from the regularized incomplete beta
function by its continued fraction (DLMF 8.17.22, https://dlmf.nist.gov/8.17.E22, evaluated by the modified Lentz
method: W. J. Lentz 1976, with I. J. Thompson and A. R. Barnett's change of 1986). Tests compare it with scipy.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

_SMALLEST = 1e-300
_CLOSE = 1e-15


class Summary(NamedTuple):
    """A group of numbers. `n` counts the numbers that are not NaN; `mean` is NaN for none, `std` for fewer than two."""

    n: int
    mean: float
    std: float  # of the sample: divided by n - 1


class Welch(NamedTuple):
    """`t` and degrees of freedom of Welch's test, and the two-sided `p`. All NaN when it cannot be said."""

    t: float
    df: float
    p: float


def summarize(values: Sequence[float]) -> Summary:
    """n, mean and sample standard deviation, NaN left out."""
    kept = [float(value) for value in values if value == value]
    if not kept:
        return Summary(0, math.nan, math.nan)
    if not all(map(math.isfinite, kept)):
        return Summary(len(kept), sum(kept), math.nan)  # inf, -inf, or NaN for both together
    mean = math.fsum(value / len(kept) for value in kept)
    if len(kept) < 2:
        return Summary(1, kept[0], math.nan)
    if min(kept) == max(kept):
        return Summary(len(kept), kept[0], 0.0)  # exactly: rounding of the mean must not make a spread
    scale = max(abs(value - mean) for value in kept)  # squares of tiny or huge numbers would leave the range of floats
    total = math.fsum(((value - mean) / scale) ** 2 for value in kept)
    return Summary(len(kept), mean, scale * math.sqrt(total / (len(kept) - 1)))


def welch(first: Sequence[float], second: Sequence[float]) -> Welch:
    """Welch's t-test of two independent groups whose variances may differ; NaN is left out.

    Fewer than two numbers on a side cannot be tested: NaN. Two constant groups have no spread to judge by: equal ones
    give NaN, different ones t = ±inf and p = 0, as scipy has it.
    """
    return welch_of(summarize(first), summarize(second))


def welch_of(first: Summary, second: Summary) -> Welch:
    """`welch` of groups that are summarized already."""
    nothing = Welch(math.nan, math.nan, math.nan)
    if first.n < 2 or second.n < 2 or not (math.isfinite(first.mean) and math.isfinite(second.mean)):
        return nothing
    difference = first.mean - second.mean
    scale = max(first.std, second.std)
    if scale == 0:
        return nothing if difference == 0 else Welch(math.copysign(math.inf, difference), math.nan, 0.0)
    a, b = (first.std / scale) ** 2 / first.n, (second.std / scale) ** 2 / second.n
    t = difference / scale / math.sqrt(a + b)
    df = (a + b) ** 2 / (a * a / (first.n - 1) + b * b / (second.n - 1))
    return Welch(t, df, two_sided(t, df))


def two_sided(t: float, df: float) -> float:
    """The probability of a Student t at least as far from 0 as `t`, with `df` > 0 degrees of freedom."""
    if t != t or df != df:
        return math.nan
    square = t * t
    if math.isinf(square):
        return 0.0
    return incomplete_beta(df / (df + square), df / 2, 0.5, square / (df + square))


def incomplete_beta(x: float, a: float, b: float, rest: float | None = None) -> float:
    """The regularized incomplete beta function I_x(a, b). `rest` is 1 - x where the caller has it more exactly."""
    y = 1 - x if rest is None else rest
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast; elsewhere by symmetry
        return math.exp(front) * _fraction(x, a, b) / a
    return 1 - math.exp(front) * _fraction(y, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 10_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + numerator * d)
            c = _away(1 + numerator / c)
            result *= c * d
        if abs(c * d - 1) < _CLOSE:
            break
    return result


def _away(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST

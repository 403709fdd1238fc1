"""Student: the t distribution, as far as confidence intervals of means need it; scipy would be 100 MB for this."""

import math

_STEPS = 200
_TINY = 1e-300


def t_quantile(probability: float, degrees: float) -> float:
    """Return the value that a t-distributed variable exceeds with 1 - probability.

    Args:
        probability: between 0.5 and 1.
        degrees: of freedom, above 0, and not necessarily whole.
    """
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < probability:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_probability(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def t_probability(value: float, degrees: float) -> float:
    """Return the probability that a t-distributed variable is at most a value, by the incomplete beta function.

    The formula is 26.5.27 of Abramowitz and Stegun, Handbook of Mathematical Functions (1964).
    """
    tail = incomplete_beta(degrees / 2, 0.5, degrees / (degrees + value * value)) / 2
    return 1 - tail if value >= 0 else tail


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), by its continued fraction.

    The fraction is https://dlmf.nist.gov/8.17.E22, which converges fast below the mean; above it, the function's
    symmetry is used (https://dlmf.nist.gov/8.17.E4).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    return front * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Evaluate 1 / (1 + d1 / (1 + d2 / ...)) by Lentz's method as Thompson and Barnett have it (1986)."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY

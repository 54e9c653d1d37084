"""How sure an accuracy is: the interval that a number of right answers leaves open."""

import math

__all__ = ["wilson"]

_NORMAL_95 = 1.959963984540054  # standard deviations that hold 95 % of a normal distribution


def wilson(correct: float, total: int) -> tuple[float, float]:
    """95 % interval (low, high) of an accuracy, from `correct` right answers out of `total`.

    Wilson's score interval: unlike mean ± 1.96 standard errors it stays in 0..1 and has a width
    also where all answers are right, which is common with few examples.

    Arguments:
        correct: right answers; may be a fraction where answers are weighted.
        total: all answers, at least 1.

    Raises:
        ValueError: `0 <= correct <= total` or `total >= 1` does not hold.

    References:
        Probable Inference, the Law of Succession, and Statistical Inference, Wilson 1927,
        https://doi.org/10.1080/01621459.1927.10502953

    Example:
        >>> low, high = wilson(9, 10)
        >>> print(f"{low:.3f} to {high:.3f}")
        0.596 to 0.982
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(
            "`0 <= correct <= total` and `total >= 1` must hold, but got "
            f"(correct={correct}, total={total})."
        )
    share, weight = correct / total, _NORMAL_95**2 / total
    middle = (share + weight / 2) / (1 + weight)
    spread = share * (1 - share) * weight + weight**2 / 4
    half = math.sqrt(spread) / (1 + weight)
    # Rounding must not put the ends beyond the accuracy itself.
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)

"""The multi-step loss: early in training, the query is judged after every inner step.

A gradient then reaches the start by short ways too, and does not explode on the long one. The
weights of the early steps fade until only the last step counts.
"""

__all__ = ["step_weights"]

_LEAST = 0.03


def step_weights(meta_step: int, *, steps: int, fading: int) -> tuple[float, ...]:
    """The weight of the query loss after each of `steps` inner steps; they sum to one.

    All are equal at first. Those before the last fall in a line, never below 0.03 of their first
    value, the last takes what they lose; from `fading` on, only the last counts.

    Arguments:
        meta_step: how many steps of meta-training were made.
        steps: inner steps.
        fading: over how many steps of meta-training the weights fade (the paper: 10 epochs of 500
            and changes them by the epoch, here by the step).

    References:
        How to train your MAML, Antoniou, Edwards and Storkey, 2018,
        https://arxiv.org/abs/1810.09502

    Example:
        >>> from metawright.learners.multi_step import step_weights
        >>> step_weights(0, steps=4, fading=100)
        (0.25, 0.25, 0.25, 0.25)
        >>> [round(weight, 4) for weight in step_weights(50, steps=4, fading=100)]
        [0.125, 0.125, 0.125, 0.625]
        >>> step_weights(100, steps=4, fading=100)
        (0.0, 0.0, 0.0, 1.0)
    """
    if meta_step >= fading:
        return (*[0.0] * (steps - 1), 1.0)
    early = max(1 - meta_step / fading, _LEAST) / steps
    return (*[early] * (steps - 1), 1 - (steps - 1) * early)

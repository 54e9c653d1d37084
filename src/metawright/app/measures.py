"""Measures of designs in the units that people read."""

from metawright.app.report.words import amount, percent

__all__ = ["NAMES", "shown"]

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "r2": "R²",
    "rmse": "root mean squared error",
    "parameters": "parameters",
    "flops": "FLOPs an example",
    "latency": "latency an example",
    "latency_row": "latency a row",
    "bytes": "bytes of weights",
    "energy": "energy an example",
    "seconds": "seconds of training",
}
"""What a measure is called in a report."""

_SHARES = ("accuracy", "balanced_accuracy", "auc", "f1")


def shown(name: str, value: float) -> str:
    """A value with its unit.

    Example:
        >>> shown("accuracy", 0.9312), shown("parameters", 123456.0), shown("latency", 0.00042)
        ('93.12 %', '123.5 k', '0.42 ms')
        >>> shown("log_loss", 0.12345), shown("seconds", 12.3), shown("energy", 0.002)
        ('0.1235', '12.3 s', '2 mJ')
    """
    if name in _SHARES:
        return percent(value, 2)
    if name == "seconds":
        return f"{value:.3g} s"
    if name in ("latency", "latency_batch"):
        return f"{1000 * value:.3g} ms"
    if name == "latency_row":
        return f"{1e6 * value:.3g} µs" if value < 1e-3 else f"{1e3 * value:.3g} ms"
    if name == "energy":
        return f"{1000 * value:.3g} mJ"
    if name in ("parameters", "flops", "bytes"):
        return amount(value)
    return f"{value:.4g}"

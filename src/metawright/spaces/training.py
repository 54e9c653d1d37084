"""How a network is trained, as a space: the half of a design that goes with any architecture."""

from metawright.spaces.space import Choice, Either, Real, Record

__all__ = ["trained", "training_space"]


def training_space() -> Record:
    """Optimiser, batch size, schedule, loss and augmentation.

    - `optimiser`: "adam" (decoupled weight decay) or "sgd" (momentum 0.9), each with its own range
      of learning rate and weight decay;
    - `schedule`: a name of `metawright.training.schedule.SCHEDULES`;
    - `label_smoothing`: share of the target that all classes have in common (classification);
    - `augmentation`: how strongly examples are distorted, from 0 (not at all) to 1.
    """
    adam = Record(
        {"lr": Real(3e-4, 0.02, log=True), "weight_decay": Real(1e-4, 0.3, log=True)},
    )
    sgd = Record({"lr": Real(0.01, 0.3, log=True), "weight_decay": Real(1e-5, 1e-2, log=True)})
    return Record(
        {
            "optimiser": Either({"adam": adam, "sgd": sgd}),
            "batch_size": Choice((32, 64, 128)),
            "schedule": Choice(("constant", "linear", "cosine")),
            "label_smoothing": Choice((0.0, 0.05, 0.1)),
            "augmentation": Choice((0.0, 0.25, 0.5, 1.0)),
        }
    )


def trained(architecture: Record) -> Record:
    """The architectures together with how they are trained: `architecture` and `training`.

    Example:
        >>> from metawright.spaces import Integer, Record
        >>> from metawright.spaces.training import trained
        >>> list(trained(Record({"width": Integer(8, 64)})).fields)
        ['architecture', 'training']
    """
    return Record({"architecture": architecture, "training": training_space()})

"""A find in sentences: for the terminal, the report, and whoever reads `run.json`."""

from collections.abc import Mapping
from typing import Any

from metawright.recipes.search.asked import Asked
from metawright.store.records import Trial
from metawright.strategies.objectives import measured

__all__ = ["sentences", "value_words", "verdict"]

_SHARES = ("accuracy", "balanced_accuracy", "auc", "f1")


def verdict(record: Mapping[str, Any]) -> list[str]:
    """The sentences of a finished run."""
    return list((record.get("why") or {}).get("sentences", []))


def value_words(name: str, value: float) -> str:
    """A value of a measure: accuracies in per cent."""
    return f"{100 * value:.1f} %" if name in _SHARES else f"{value:.4g}"


def gap_words(name: str, value: float) -> str:
    """A difference of two values of a measure."""
    return f"{100 * value:+.1f} points" if name in _SHARES else f"{value:+.3g}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def sentences(told: Mapping[str, Any], asked: Asked, best: Trial, kept: Trial) -> list[str]:
    """What `summary` found, the most important first."""
    name = told["measure"]["name"]
    parts = [
        _test(told),
        _longer(name, best, kept),
        *_against_random(told, asked),
        _mutants(told),
        _transfer(told, best),
        _rival(told),
        _why(told),
        _robust(told),
    ]
    return [part for part in parts if part]


def _test(told: Mapping[str, Any]) -> str:
    test = told["test"]
    if not test:
        return ""
    own, *others = test["rows"]
    name = test["measure"]
    words = f"On {test['examples']} examples that nothing was chosen by: "
    words += f"{_plain(name)} {value_words(name, own['value'])}"
    if own["low"] is not None:
        low, high = (value_words(name, own[end]) for end in ("low", "high"))
        words += f" (95 %: {low} to {high})"
    told_others = [f"{one['name']} {value_words(name, one['value'])}" for one in others]
    return words + (f"; {', '.join(told_others)}." if others else ".")


def _longer(name: str, best: Trial, kept: Trial) -> str:
    if kept.id == best.id:
        return ""
    before, after = measured(best, name), measured(kept, name)
    if before is None or after is None:
        return ""
    return (
        f"Trained {kept.evidence['stretch']:.3g} times longer than in the search: {_plain(name)} "
        f"{value_words(name, before)} became {value_words(name, after)} on the validation part."
    )


def _against_random(told: Mapping[str, Any], asked: Asked) -> list[str]:
    name, side = told["measure"]["name"], 1 if told["measure"]["maximise"] else -1
    controls = told["controls"]
    random, ours = controls["random"], controls["search"]
    if asked.strategy == "random":
        return ["The strategy is random search itself: there is nothing to compare it with."]
    if not random or not ours:
        return [
            "No random design beside it was trained in full and kept the constraints (too little "
            "time, or controls were off): whether searching was worth it is unknown."
        ]
    count = min(len(random["expected"]), len(ours))
    gap = side * (ours[count - 1] - random["expected"][count - 1])
    expected = value_words(name, random["expected"][count - 1])
    place = "above" if gap > 0 else "below" if gap < 0 else "from"
    each = "one design" if count == 1 else f"{count} designs"
    words = (
        f"After {each} each, the strategy's best lies {gap_words(name, abs(gap)).lstrip('+')} "
        f"{place} the expected best of random search ({expected}); {len(ours)} designs of its own "
        f"brought {value_words(name, ours[-1])}."
    )
    verdict = "Up to there the search was not better than drawing at random." if gap <= 0 else ""
    mean = controls["mean_design"]
    typical = (
        f"A design drawn at random has {_plain(name)} {value_words(name, mean['value'])} on "
        f"average ({mean['count']} designs)."
        if mean
        else ""
    )
    return [words, verdict, typical]


def _mutants(told: Mapping[str, Any]) -> str:
    found, name = told["controls"]["mutants"], told["measure"]["name"]
    if not found:
        return ""
    if found["better"]:
        return (
            f"{found['better']} of {found['count']} blind changes of one decision made the best "
            f"better (up to {value_words(name, found['best'])}): the search had not ended."
        )
    return (
        f"None of {found['count']} blind changes of one decision of the best made it better (the "
        f"best of them: {value_words(name, found['best'])})."
    )


def _transfer(told: Mapping[str, Any], best: Trial) -> str:
    found, name = told["controls"]["transfer"], told["measure"]["name"]
    if not found:
        return "No earlier tasks in a shared store (--store): static transfer is unknown."
    value = value_words(name, found["value"])
    if found["trial"] == best.id:
        return f"The design that ranks best on earlier tasks was the best here too ({value})."
    return f"The design that ranks best on earlier tasks reaches {value} here."


def _rival(told: Mapping[str, Any]) -> str:
    found, name = told["confidence"], told["measure"]["name"]
    seeds = told["controls"]["seeds"]
    if not found and seeds:
        noise = gap_words(name, seeds["sd"]).lstrip("+")
        return (
            f"With {len(seeds['chosen'])} further seeds it moves by {noise} (standard deviation); "
            "there was no rival, or no time, to compare it with."
        )
    if not found:
        return "Not repeated with other seeds: how much of its lead is luck is unknown."
    if seeds and seeds["sd"] == 0:
        return "Its score is the same with every seed that was tried."
    noise = (
        f"; seeds alone move it by {gap_words(name, seeds['sd']).lstrip('+')} (standard deviation)"
        if seeds
        else ""
    )
    lead = gap_words(name, abs(found["difference"])).lstrip("+")
    verb = "it beats its rival by" if found["difference"] >= 0 else "it falls behind its rival by"
    return (
        f"With {found['pairs']} further seeds each {verb} {lead}; that it is really the better "
        f"one is {100 * found['probability']:.0f} % sure{noise}."
    )


def _why(told: Mapping[str, Any]) -> str:
    rows = told["importance"][:3]
    if not rows:
        return ""
    parts = [f"{_decision(one['decision'])} ({100 * one['share']:.0f} %)" for one in rows]
    return f"The decisions that mattered most: {', '.join(parts)}."


def _robust(told: Mapping[str, Any]) -> str:
    found = told["robustness"]
    if not found:
        return ""
    worst = min((name for name in found if name != "clean"), key=lambda name: found[name])
    return (
        f'It bears "{worst}" least: accuracy {100 * found["clean"]:.1f} % becomes '
        f"{100 * found[worst]:.1f} %."
    )


def _decision(name: str) -> str:
    """A decision without the halves of a design: "optimiser adam lr"."""
    words = name.removeprefix("architecture.").removeprefix("training.")
    return words.replace(".", " ").replace("_", " ")

"""`sweep check`: what a sweep will do, or every mistake in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from sweeps.amounts import count
from sweeps.command import data_facts, display
from sweeps.config import Choices, Component, FloatRange, IntRange, SweepConfig, read_draft
from sweeps.config.parameters import name_of, range_by_range
from sweeps.config.rungs import PAUSING, rungs_in_words, rungs_of
from sweeps.datasets import targets
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.errors import DataError, SweepError
from sweeps.study.grid import most_trials
from sweeps.user_code import project_folders
from sweeps.validation import validate
from sweeps.validation.doubts import doubts


def check(console: Console, file: Path, overrides: Sequence[str], *, is_strict: bool = False) -> None:
    """Print the data, the search space and the budget, and at last what a careful colleague would ask about.

    Raises:
        ConfigError: the file has mistakes; it holds all of them.
        DataError: there is something to ask about, and the check `is_strict`.
    """
    draft, datasets = read_draft(file, overrides), Datasets()
    with project_folders(file):
        dataset = validate.examine(draft, datasets)
        config = draft.config()
        programs = _programs(config, datasets)
        assert dataset is not None
        if config.loss is not None:
            dataset = targets.under(config.loss.use, dataset, config.loss.arguments)
        asked = doubts(draft, dataset)
    display.line(console, f"{file}: right")
    if draft.brought:
        display.line(console, f"from the compiled model: {', '.join(draft.brought)}")
    for note in draft.notes:
        display.line(console, f"note: {note}")
    display.facts(console, [*facts(config, dataset, most_trials(config)), ("programs", programs)])
    for doubt in asked:
        display.line(console, f"look at: {doubt}")
    if asked and is_strict:
        raise DataError(f"{file}: {count(len(asked), 'thing')} to look at, which --strict takes for mistakes")


def _programs(config: SweepConfig, datasets: Datasets) -> str:
    """How many programs a run can need, as `sweep plan` says it; why not, where some combination cannot be trained."""
    from sweeps.engine.programs import Programs  # with JAX, which a config that is right needs for its model
    from sweeps.validation.lane_memory import refuse_large_lanes
    from sweeps.validation.program_plan import make_plan

    programs = Programs(config, datasets)
    refuse_large_lanes(config, programs)
    try:
        return make_plan(config, programs).number_of_programs
    except SweepError as error:
        return f"not counted: {error}"


def facts(config: SweepConfig, dataset: Dataset, most: int | None) -> list[tuple[str, str]]:
    """What the sweep will do, as rows of a name and a text. `most` are the trials that its search space has at most."""
    stopping = config.early_stopping.model_dump(exclude_defaults=True)
    first = count(len(config.enqueue), "known configuration")
    return [
        ("sweep", config.name),
        *data_facts.facts(config.dataset.use, dataset),
        ("model", _component(config, "model", config.model)),
        ("loss", _component(config, "loss", config.loss or Component(use="the model's"))),
        *([("metrics", ", ".join(config.metrics))] if config.metrics else []),
        ("optimizer", _component(config, "optimizer", config.optimizer)),
        *([("schedule", _component(config, "schedule", config.schedule))] if _is_scheduled(config) else []),
        *([("augmentation", _augmentation(config))] if _is_augmented(config) else []),
        ("objective", f"{config.objective.direction} {config.objective.metric}"),
        *([("early_stopping", _numbers(stopping))] if stopping else []),
        *([("keep", config.keep)] if stopping or config.keep != "last_epoch" else []),
        (
            "sampler",
            config.sampler.use if config.pruner.use == "none" else f"{config.sampler.use}, {config.pruner.use}",
        ),
        *([("rungs", rungs_in_words(config))] if config.pruner.use in PAUSING else []),
        *_space(config),
        ("until", " or ".join(_limits(config, most))),
        *([("first", first)] if config.enqueue else []),
    ]


def _component(config: SweepConfig, section: str, component: Component) -> str:
    is_searched = {f"{section}.use", section} & config.search_space.keys()
    use = "searched" if is_searched else component.use
    return f"{use} {display.parameters(component.arguments)}".rstrip()


def _is_scheduled(config: SweepConfig) -> bool:
    return config.schedule != Component(use="constant") or any(
        name.startswith("schedule.") for name in config.search_space
    )


def _is_augmented(config: SweepConfig) -> bool:
    return bool(config.augmentation.given) or any(name.startswith("augmentation.") for name in config.search_space)


def _augmentation(config: SweepConfig) -> str:
    ranges = range_by_range(config.search_space)
    entries = {key: entry for key, entry in ranges.items() if key.startswith("augmentation.")}
    own = {f"augmentation.{name}": value for name, value in config.augmentation.given.items()}
    return ", ".join(
        f"{name_of(key).partition('.')[2]} {described(entry)}" for key, entry in {**own, **entries}.items()
    )


def _numbers(given: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {display.short(value)}" for name, value in given.items())


def _limits(config: SweepConfig, most: int | None) -> list[str]:
    budget = config.budget
    what = "the whole grid" if config.sampler.use == "grid" else "the whole search space"
    target = "" if budget.target is None else f"{config.objective.metric} {budget.target:g}"
    return [
        *([f"{count(most, 'trial')}, {what}"] if most is not None else []),
        *([count(budget.trials, "trial")] if budget.trials is not None else []),
        *([minutes_of(budget.minutes)] if budget.minutes is not None else []),
        *([target] if target else []),
    ]


def _space(config: SweepConfig) -> Iterator[tuple[str, str]]:
    """The search space, and what becomes of it where the pruner decides how long trials are."""
    for key, entry in range_by_range(config.search_space).items():
        text = described(entry)
        if key == "epochs" and config.pruner.use in PAUSING:
            text = f"{min(rungs_of(config))} to {entry}, as {config.pruner.use} decides"
        yield f"  {name_of(key)}", text


def minutes_of(minutes: float) -> str:
    """A budget of minutes in words."""
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def described(entry: object) -> str:
    """A parameter's range in a few words."""
    if isinstance(entry, Choices):
        text = f"one of {', '.join(map(display.short, entry.choices))}"
    elif isinstance(entry, FloatRange | IntRange):
        step = f", step {display.short(entry.step)}" if entry.step and entry.step != 1 else ""
        text = f"{display.short(entry.low)} to {display.short(entry.high)}{', log' if entry.log else ''}{step}"
    else:
        return f"{display.short(entry)} (fixed)"
    text += "" if entry.prior is None else f", prior {display.short(entry.prior)}"
    when = ", ".join(f"{name} is {display.short(value)}" for name, value in (entry.when or {}).items())
    return f"{text}, when {when}" if when else text

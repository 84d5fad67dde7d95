"""The shape of a config: every section and every key with its type, its default and its description.

These models hold what is right within one section; what must hold between sections is in `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from sweeps.config.names import Metric
from sweeps.config.parameters import Choices, FloatRange, Frozen, IntRange, Parameter, Ranges, range_by_range
from sweeps.config.values import (
    Argument,
    Count,
    Fraction,
    FrozenDict,
    NotNegative,
    Number,
    Positive,
    Seed,
    Text,
    Times,
    Value,
    text,
    whole,
    wrong,
)
from sweeps.config.wording import did_you_mean, show


class Component(Frozen):
    """Something to build: what to `use`, and its arguments, which are all the other keys.

    >>> Component(use="adam", b1=0.8).arguments
    {'b1': 0.8}
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Argument] = Field(init=False)

    use: Text = Field(description="A built-in name, or `module:name` of your own; the other keys are its arguments.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, str) else value

    @property
    def arguments(self) -> dict[str, Value]:
        """All keys but `use`."""
        return dict(self.model_extra or {})

    def with_arguments(self, **arguments: Value) -> Component:
        """A copy with some arguments replaced or added; `use` can be among them."""
        return Component(**{"use": self.use, **self.arguments, **arguments})  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return hash((self.use, frozenset(self.arguments.items())))


class Augmentation(Frozen):
    """How images are changed at random whenever they are trained on; what is not given is not done."""

    shift: Times | None = Field(
        default=None, description="The most pixels that an image moves in each direction.", examples=[2]
    )
    flip: Fraction | None = Field(
        default=None, description="The probability that left and right are exchanged.", examples=[0.5]
    )

    @property
    def given(self) -> dict[str, float]:
        """What is done, by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


def _as_pairs(section: object) -> object:
    """A dataset's `class_weight` and `ordinal` as pairs, for an argument is no mapping."""
    if isinstance(section, Mapping) and isinstance(section.get("ordinal"), Mapping):
        section = {**section, "ordinal": [[name, order] for name, order in section["ordinal"].items()]}
    if not (isinstance(section, Mapping) and "class_weight" in section):
        return section
    given = section["class_weight"]
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if not are_pairs(pairs):
        return section
    return {**section, "class_weight": [[str(name), weight] for name, weight in pairs]}


def are_pairs(given: Any) -> bool:
    """Whether a list or tuple could have been a mapping."""
    return isinstance(given, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in given)


class Objective(Frozen):
    """What makes one trial better than another."""

    metric: Text = Field(
        description="`valid_` and one of `metrics`, or `valid_loss`, or `train_loss`.", examples=["valid_accuracy"]
    )
    direction: Literal["maximize", "minimize"] = Field(description="Which way is better.", examples=["maximize"])

    @property
    def sign(self) -> int:
        """-1 where the objective is maximized, else 1: of values times `sign`, the least is the best."""
        return -1 if self.direction == "maximize" else 1

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`; of equals neither is, and NaN never is.

        >>> Objective(metric="valid_accuracy", direction="maximize").is_better(0.9, 0.8)
        True
        """
        return self.sign * value < self.sign * other


class Budget(Frozen):
    """When to stop: at whichever of these comes first."""

    trials: Count | None = Field(default=None, description="How many trials to run.", examples=[64])
    minutes: Positive | None = Field(default=None, description="How many minutes to run for.", examples=[30])
    target: Number | None = Field(
        default=None, description="Stop as soon as a trial's objective is this good.", examples=[0.98]
    )


class Retries(Frozen):
    """How often a trial is tried again, for each outcome that another attempt may not have."""

    failed: Times = Field(default=0, description="After an error of the model or the device.", examples=[1])
    out_of_memory: Times = Field(
        default=0, description="After there was no memory for it even alone in its lanes.", examples=[1]
    )


class CheckpointTimes(Frozen):
    """When to write down where the lanes stand."""

    seconds: Positive = Field(
        default=60.0, description="About how much training a crash may cost; an epoch is never cut.", examples=[60]
    )


class EarlyStopping(Frozen):
    """When a trial is complete before its last epoch."""

    patience: Count | None = Field(
        default=None, description="Epochs in a row that may pass without a better objective.", examples=[3]
    )
    min_delta: NotNegative = Field(default=0.0, description="By how much the objective must improve to be better.")
    target: Number | None = Field(default=None, description="An objective this good is good enough.", examples=[0.98])


KINDS = ("float", "int", "categorical")


def _auto_or_count(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, str):
        raise wrong("must be `auto` or a whole number of at least 1", show(value), did_you_mean(value, ["auto"]))
    count = whole(value)
    if count < 1:
        raise wrong("must be `auto` or a whole number of at least 1", show(value))
    return count


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _kind(entry: object) -> str | None:
    """Which member of the union an entry of the search space is."""
    if isinstance(entry, Parameter):
        return entry.type
    if isinstance(entry, Ranges):
        return "several"
    if not isinstance(entry, Mapping):
        return "fixed"
    return next((kind for kind in KINDS if entry.get("type") == kind), None)


Auto = Annotated[Literal["auto"] | int, BeforeValidator(_auto_or_count)]
Entry = Annotated[
    Annotated[FloatRange, Tag("float")]
    | Annotated[IntRange, Tag("int")]
    | Annotated[Choices, Tag("categorical")]
    | Annotated[Ranges, Tag("several")]
    | Annotated[Argument, Tag("fixed")],
    Discriminator(_kind),
]
SearchSpace = Annotated[Mapping[str, Entry], AfterValidator(FrozenDict)]
Known = Annotated[Mapping[str, Argument], AfterValidator(FrozenDict)]


NAME = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")


def _name(value: object) -> str:
    name = text(value)
    # `$` alone would let a line break through.
    if not NAME.match(name) or name.endswith("\n"):
        rule = "must be 1 to 64 of the characters a to z, A to Z, 0 to 9, `.`, `_` and `-`, and not begin with a dot"
        raise wrong(rule, show(name), "The results go to a folder of this name")
    return name


LEFT_TO_MODEL = ("loss", "optimizer", "metrics")
"""The sections that a config may leave out, and a Keras model that was compiled then brings with it."""


def _not_null(value: object) -> object:
    if value is None:
        raise wrong("must be a name, or a mapping with `use`", show(value))
    return value


class SweepConfig(Frozen):
    """A sweep, as its file says it. `load_config` and `parse_config` make one and check what spans its sections.

    Those of `LEFT_TO_MODEL` that are not in its `model_fields_set` are the model's to say.
    """

    name: Annotated[str, BeforeValidator(_name)] = Field(
        description="The sweep's name; its results go to the folder of this name.", examples=["mnist"]
    )
    seed: Seed = Field(default=0, description="The number that all randomness starts from.")
    dataset: Annotated[Component, BeforeValidator(_as_pairs)] = Field(
        description="A built-in dataset, or `module:function`; the other keys are its arguments.",
        examples=[{"use": "mnist"}],
    )
    model: Component = Field(
        description="`module:name` of a model; the other keys are its arguments.",
        examples=[{"use": "models.mlp:MLP", "hidden": [128]}],
    )
    loss: Annotated[Component | None, BeforeValidator(_not_null)] = Field(
        default=None,
        description="What training minimises; left out, what a Keras model was compiled with.",
        examples=["softmax_cross_entropy"],
    )
    metrics: tuple[Metric, ...] = Field(
        default=(),
        description="What else to measure on the validation split after every epoch; left out, as `loss`.",
        examples=[["accuracy"]],
    )
    optimizer: Component = Field(
        default=Component(use="adam"),
        description="Any optax optimizer by name; the other keys are its arguments. Left out, as `loss`.",
        examples=[{"use": "adam"}],
    )
    schedule: Component = Field(
        default=Component(use="constant"),
        description="What the learning rate does over a trial's iterations; the other keys are its arguments.",
        examples=["cosine"],
    )
    augmentation: Augmentation = Field(
        default=Augmentation(),
        description="How images are changed at random whenever they are trained on.",
        examples=[{"shift": 2, "flip": 0.5}],
    )
    search_space: SearchSpace = Field(
        description="The hyperparameters: a plain value is fixed, a mapping with `type` is searched.",
        examples=[{"epochs": {"type": "int", "low": 1, "high": 8}, "batch_size": 64}],
    )
    objective: Objective = Field(
        description="What makes one trial better than another.",
        examples=[{"metric": "valid_accuracy", "direction": "maximize"}],
    )
    sampler: Component = Field(default=Component(use="tpe"), description="How trials are proposed.", examples=["tpe"])
    pruner: Component = Field(
        default=Component(use="none"), description="How trials are stopped early.", examples=["none"]
    )
    budget: Budget = Field(default=Budget(), description="When to stop.", examples=[{"trials": 64}])
    early_stopping: EarlyStopping = Field(
        default=EarlyStopping(),
        description="When a trial is complete before its last epoch.",
        examples=[{"patience": 3}],
    )
    keep: Literal["last_epoch", "best_epoch"] = Field(
        default="last_epoch",
        description="Which epoch's parameters and objective are a trial's.",
        examples=["best_epoch"],
    )
    enqueue: tuple[Known, ...] = Field(
        default=(),
        description="Known good configurations to try first, in this order.",
        examples=[[{"epochs": 3, "batch_size": 64}]],
    )
    warm_start: Annotated[tuple[Text, ...], BeforeValidator(_one_or_more)] = Field(
        default=(),
        description="Results folders of earlier sweeps, of whose trials the sampler learns; one, or a list.",
        examples=[["results/other"]],
    )
    duplicates: Literal["skip", "repeat"] = Field(
        default="skip",
        description="Whether a configuration that an earlier trial has had is passed over, or tried again.",
        examples=["repeat"],
    )
    lanes: Auto = Field(default="auto", description="How many trials train at once; `auto` fills the device.")
    micro_batch: Auto = Field(
        default="auto", description="Rows that the compiled program takes at a time; `auto` follows the search space."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="What models compute in. Parameters, optimizer state, losses and metrics are float32 in any case.",
        examples=["bfloat16"],
    )

    retries: Retries = Field(
        default=Retries(), description="How often a trial is tried again.", examples=[{"failed": 1}]
    )
    checkpoints: CheckpointTimes = Field(
        default=CheckpointTimes(), description="When to write down where the lanes stand.", examples=[{"seconds": 60}]
    )

    def parameters(self) -> dict[str, Parameter]:
        """The searched parameters by name, each after those that its `when` names.

        Where one has several ranges, each is here by a key of its own: see `range_by_range`.
        """
        return {key: entry for key, entry in range_by_range(self.search_space).items() if isinstance(entry, Parameter)}

    def fixed(self) -> dict[str, Value]:
        """The fixed parameters by name."""
        ranges = range_by_range(self.search_space)
        return {name: entry for name, entry in ranges.items() if not isinstance(entry, Parameter)}

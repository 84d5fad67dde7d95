"""What a config says, held against the things it names: data, model, optimizer, losses and metrics.

Every mistake is found before anything compiles and joins the others in the draft. Modules of `training` are imported
inside functions: what a config does not name as a Python object is checked without JAX.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

from sweeps.config import Draft, Value
from sweeps.config.names import LOSSES, SCHEDULES, Options
from sweeps.config.optax_names import ARGUMENTS
from sweeps.config.space import kinds_of_trials, written_values
from sweeps.config.wording import Fault, Path, did_you_mean, listing, path_text
from sweeps.datasets import loading, targets
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.errors import ModelError, SweepError
from sweeps.storage.paths import RunFolder
from sweeps.study import refusal
from sweeps.user_code import ArgumentFault, argument_faults, taken_by
from sweeps.validation import keras_defaults
from sweeps.validation.sample_configs import SampleConfig, sample_configs

Found = TypeVar("Found")

OF_LOSS, OF_METRIC, OF_OPTIMIZER, OF_SCHEDULE = (
    f"{loading.ARRAYS}{what} " for what in ("loss", "metric", "optimizer", "schedule")
)
FILE_OF_SPLIT = re.compile("(train|valid|val|validation|test)_(path|file|data)")
ONE_FILE = (
    "A dataset is one file: put the rows together, and name the column that says `train`, `valid` or `test` in `split`"
)


def examine(
    draft: Draft, datasets: Datasets, learnt: Collection[str] = (), folder: RunFolder | None = None
) -> Dataset | None:
    """Add to the draft what is wrong with the things it names; the dataset, where it is right.

    A sweep that goes on in a `folder` has `learnt` from some of the earlier ones that the config names.
    """
    if cannot := refusal(draft.sections.sampler, draft.sections.pruner):
        draft.complain(*cannot)
    found = _datasets(draft, datasets)
    keras_defaults.settle(draft, itertools.chain.from_iterable(sample_configs(draft, "model").values()), found)
    _optimizers(draft, datasets)
    _batch_sizes(draft, found)
    _augmentation(draft, found)
    _schedules(draft, datasets)
    _models(draft, found, datasets)
    _warm_start(draft, learnt, folder)
    return found[0] if found else None


def _warm_start(draft: Draft, learnt: Collection[str], folder: RunFolder | None) -> None:
    """Hold earlier sweeps against this one, and note what it can learn from them."""
    for index, source in enumerate(draft.sections.warm_start or ()):
        place: Path = ("warm_start", index) if isinstance(draft.tree["warm_start"], list) else ("warm_start",)
        if source in learnt or draft.sections.objective is None:
            continue
        from sweeps.results import earlier_sweep  # when there is one

        of = _tried(draft, place, earlier_sweep.folder_of, source)
        if of is not None and folder is not None and of.resolve() == folder.path.resolve():
            draft.complain(place, "a sweep cannot learn from itself", source, "Name the folder of another one")
            continue
        earlier = (
            None if of is None else _tried(draft, place, earlier_sweep.read_earlier, source, draft.sections.objective)
        )
        if earlier is not None and not draft.complaints:
            lessons = _tried(draft, place, earlier_sweep.lessons_of, earlier, draft.config())
            draft.notes += [lessons.said] if lessons is not None else []


def _optimizers(draft: Draft, datasets: Datasets) -> None:
    rated, unrated = _rates(draft)
    for use, samples in sample_configs(draft, "optimizer").items():
        is_rated = "learning_rate" in draft.sections.names and (use in rated or use not in unrated)
        given = [*_names(samples), *(["learning_rate"] if is_rated else [])]
        taken = _taken_by_optimizer(draft, use, given)
        if taken is None:
            continue
        faults = argument_faults(use, taken, given)
        if not faults and use not in ARGUMENTS:
            _drive(draft, use, samples, datasets)
        if "learning_rate" in given and use in unrated and taken.get("learning_rate"):
            _no_rate(draft, f"{use} needs a learning rate", unrated[use])
        for fault in faults:
            if fault.name != "learning_rate":
                _complain(draft, "optimizer", fault)
            elif not draft.sections.names:
                continue  # no search space at all is the mistake, and a complaint of its own
            elif "learning_rate" not in taken:
                others = [other for other in rated if ARGUMENTS.get(other, {}).get("learning_rate")]
                advice = f"Give it `when: {{optimizer.use: [{', '.join(others)}]}}`" if others else "Remove it"
                draft.complain(("search_space", "learning_rate"), f"{use} takes no learning rate", "", advice)
            elif use in unrated:
                _no_rate(draft, f"{use} needs a learning rate", unrated[use])
            else:
                advice = "Give a number, or a range such as {type: float, low: 1e-5, high: 1e-1, log: true}"
                draft.complain(("search_space", "learning_rate"), f"{use} needs a learning rate", "", advice)


RATES = ("learning_rate", "optimizer.learning_rate")


def _rates(draft: Draft) -> tuple[dict[str, dict[str, Value]], dict[str, dict[str, Value]]]:
    """The optimizers of trials with a searched learning rate, and of those without; with a kind of trial for each."""
    space, component = draft.sections.search_space, draft.sections.optimizer
    found: dict[bool, dict[str, dict[str, Value]]] = {True: {}, False: {}}
    for name in RATES if component is not None else ():
        for chosen, has_rate in kinds_of_trials(space, name, "optimizer.use") if name in space else ():
            found[has_rate].setdefault(str(chosen.get("optimizer.use", component.use)), chosen)
    return found[True], found[False]


def _no_rate(draft: Draft, rule: str, chosen: Mapping[str, Value]) -> None:
    """Complain that trials with the values `chosen` have no learning rate, though others have one."""
    name = next(name for name in RATES if name in draft.sections.names)
    when = ", ".join(f"{parent}: {value}" for parent, value in chosen.items())
    entry = f"{{type: float, low: 1e-5, high: 1e-1, log: true, when: {{{when}}}}}"
    is_list = isinstance(draft.tree["search_space"][name], list)
    advice = f"Add to the list, for instance, {entry}" if is_list else f"Make it a list, with {entry} for instance"
    draft.complain(("search_space", name), f"{rule}, and trials with `{when}` have none", "", advice)


def _drive(draft: Draft, use: str, samples: list[SampleConfig], datasets: Datasets) -> None:
    """Whether a lane can drive an optimizer that is not in the table: one update is traced."""
    from sweeps.training import constants
    from sweeps.training.optimizers import climbs, traceable, with_rate

    space = draft.sections.search_space
    rate = written_values("learning_rate", space["learning_rate"])[0][1] if "learning_rate" in space else None
    for sample in samples:
        arguments = with_rate(sample.arguments, rate)  # type: ignore[arg-type]  # the rate's own type is checked elsewhere
        if _tried(draft, _use_place(draft, "optimizer", use), traceable, use, arguments) is None:
            return
        if climbs(use, arguments):
            rule = f"{use} moves parameters along the gradient, so that the loss rises: it is a part of an optimizer"
            advice = (
                "Name a function of yours that returns `optax.chain(…, optax.scale_by_learning_rate(learning_rate))`"
            )
            draft.complain(_use_place(draft, "optimizer", use), rule, "", advice)
            return
        if ":" in use:
            datasets.note(OF_OPTIMIZER, use, sample.arguments, constants.of_optimizer(use, arguments))


def _taken_by_optimizer(draft: Draft, use: str, given: list[str]) -> Mapping[str, bool] | None:
    """The arguments of an optimizer, from the table if it has all that are given, else from the object; None if any."""
    listed = ARGUMENTS.get(use, {})
    if use in ARGUMENTS and listed.keys() >= set(given):
        return listed
    from sweeps.training.optimizers import constructor

    try:
        taken = taken_by(constructor(use))
    except ModelError as error:
        advice = "" if ":" in use else did_you_mean(use, tuple(ARGUMENTS))
        draft.complain(_use_place(draft, "optimizer", use), str(error), "", advice)
        return None
    newer = [name for name in given if name not in listed and (taken is None or name in taken)]
    for name in newer if listed else ():
        note = f"the installed optax has an argument of {use} that this version of sweep does not know"
        draft.notes.append(f"{path_text(_place(draft, 'optimizer', name))}: {note}")
    return taken


def _datasets(draft: Draft, datasets: Datasets) -> list[Dataset]:
    """The datasets that trials can have, where they are right."""
    found = []
    for use, samples in sample_configs(draft, "dataset").items():
        faults = _tried(draft, _use_place(draft, "dataset", use), loading.faults, use, dict.fromkeys(_names(samples)))
        for fault in faults or ():
            _complain(
                draft, "dataset", fault._replace(advice=ONE_FILE) if FILE_OF_SPLIT.fullmatch(fault.name) else fault
            )
        if faults == []:
            found += [_tried(draft, sample.place, datasets.get, use, sample.arguments) for sample in samples]
    return [dataset for dataset in found if dataset is not None]


def _batch_sizes(draft: Draft, found: list[Dataset]) -> None:
    entry = draft.sections.search_space.get("batch_size")
    if entry is None or not found:
        return
    rows = min(dataset.train.rows for dataset in found)
    for place, size in written_values("batch_size", entry):
        if int(str(size)) > rows:
            draft.complain(place, f"a batch must not be larger than the {rows:,} training rows", f"{size:,}")


def _augmentation(draft: Draft, found: list[Dataset]) -> None:
    """Images alone are augmented, and none is moved out of its own frame."""
    given = draft.sections.augmentation.given if draft.sections.augmentation is not None else {}
    wanted: list[tuple[Path, Value]] = [(("augmentation", name), value) for name, value in given.items()]
    for name, entry in draft.sections.search_space.items():
        wanted += written_values(name, entry) if name.startswith("augmentation.") else []
    for dataset in found if wanted else ():
        shape, dtype = dataset.input_shape, dataset.train.x.dtype
        if len(shape) not in (2, 3) or dtype == "int32":
            rule = "augmentation is for images, rows of height x width or height x width x channels that are no tokens"
            draft.complain(wanted[0][0][:2], rule, f"rows of shape {shape} ({dtype})", "Remove it")
            continue
        for place, value in wanted:
            if str(place[1]).endswith("shift") and int(str(value)) >= min(shape[:2]):
                rule = f"an image of {shape[0]} x {shape[1]} must be moved by fewer pixels than it has"
                draft.complain(place, rule, str(value))


class ModelShape(NamedTuple):
    """What a model must map from and to: an input's shape and dtype, and a number of outputs."""

    inputs: tuple[int, ...]
    outputs: int
    dtype: Any


def _models(draft: Draft, found: list[Dataset], datasets: Datasets) -> None:
    for use, samples in sample_configs(draft, "model").items():
        place = _use_place(draft, "model", use)
        if ":" not in use:
            advice = did_you_mean(use, ())
            draft.complain(place, "must be `module:name` of a model, such as `models.mlp:MLP`", repr(use), advice)
            continue
        from sweeps.training import constants, models

        faults = _tried(draft, place, models.faults, use, dict.fromkeys(_names(samples)))
        for fault in faults or ():
            _complain(draft, "model", fault)
        tries = itertools.product(samples, _shapes(draft, found, datasets))
        for sample, shape in tries if faults == [] else ():
            built = _tried(draft, sample.place, models.build_model, use, sample.arguments, *shape)
            if built is not None:
                _suits(draft, sample, built, shape.outputs)
                weights = _tried(draft, sample.place, constants.of_model, use, sample.arguments, *shape)
                datasets.note(loading.WEIGHTS, use, sample.arguments, weights or "")


def _suits(draft: Draft, sample: SampleConfig, built: Any, outputs: int) -> None:
    """Hold a model against the sections that it has to do with."""
    if built.is_whole and draft.sections.micro_batch not in {None, "auto"}:
        rule = f"{sample.use} mixes the rows of a batch, or keeps a state, and takes batches whole"
        draft.complain(("micro_batch",), rule, "", "Remove it")
    for loss in itertools.chain.from_iterable(sample_configs(draft, "loss").values()):
        if fault := _ending_fault(draft, sample.use, loss, built.ending, outputs):
            draft.complain(sample.place, fault.rule, "", fault.advice)


def _ending_fault(draft: Draft, use: str, loss: SampleConfig, ending: str, outputs: int) -> Fault | None:
    """What is wrong where a model gives probabilities and the loss takes logits, or the other way round."""
    from sweeps.training.losses import meaning

    means, is_own = meaning(loss.use, loss.arguments), ":" in loss.use
    if ending in ("softmax", "sigmoid") and means in ("softmax", "sigmoid"):
        rule = f"{use} ends in a {ending}, and {loss.use} takes what is before it (logits)"
        other = f"`{targets.OUTPUTS}: probabilities` if it takes those" if is_own else "`from_logits: false`"
        return Fault((), rule, "", f"Leave that activation out of the model, or give the loss {other}")
    if means != "probabilities":
        return None
    if ending == "softmax" and outputs == 1:
        return Fault((), f"{use} ends in a softmax of one output, which is always 1", "", "A sigmoid is for one output")
    if ending == "linear":
        is_softmax = loss.use == "softmax_cross_entropy" or (is_own and outputs > 1)
        activation = "softmax" if is_softmax else "sigmoid"
        other = f"`{targets.OUTPUTS}: logits` if it takes those" if is_own else "`from_logits: true`"
        compiled = ", as `compile` does by from_logits=True" if "loss" in draft.brought else ""
        rule = f"{use} ends in a linear layer, and {loss.use} takes probabilities, which are from 0 to 1"
        return Fault((), rule, "", f"End it in a {activation}, or give the loss {other}{compiled}")
    return None


def _shapes(draft: Draft, found: list[Dataset], datasets: Datasets) -> list[ModelShape]:
    """The shapes that the data and the losses ask of a model; losses and metrics are held against the data here."""
    from sweeps.training import check_signatures, losses

    shapes = []
    for loss in _taken(draft, "loss", LOSSES):
        complaints = len(draft.complaints)
        asked, read = [], [_tried(draft, loss.place, targets.under, loss.use, each, loss.arguments) for each in found]
        for dataset in filter(None, read):
            outputs = _tried(draft, loss.place, losses.outputs_needed, loss.use, dataset, loss.arguments)
            if outputs is None:
                continue
            asked.append(ModelShape(dataset.input_shape, outputs, dataset.input_dtype))
            _tried(draft, loss.place, check_signatures.check_loss, loss.use, outputs, dataset.train.y, loss.arguments)
            for index, metric in enumerate(draft.sections.metrics or ()):
                _tried(draft, ("metrics", index), check_signatures.check_metric, metric, outputs, dataset.train.y)
            if len(draft.complaints) == complaints:
                _note_arrays(draft, loss, outputs, dataset.train.y, datasets)
        if len(draft.complaints) > complaints or _says(draft, loss, [*filter(None, read)]):
            shapes += asked
    return list(dict.fromkeys(shapes))


def _note_arrays(draft: Draft, loss: SampleConfig, outputs: int, targets: Any, datasets: Datasets) -> None:
    """Take note of what a loss and metrics of one's own have read from files."""
    from sweeps.training import constants

    if ":" in loss.use:
        datasets.note(OF_LOSS, loss.use, loss.arguments, constants.of_loss(loss.use, loss.arguments, outputs, targets))
    for metric in draft.sections.metrics or ():
        if ":" in metric:
            datasets.note(OF_METRIC, metric, {}, constants.of_metric(metric, outputs, targets))


def _says(draft: Draft, loss: SampleConfig, read: list[Dataset]) -> bool:
    """Whether a loss of one's own says what a model's outputs are to it, where the targets leave that open."""
    from sweeps.training.metrics import OF_CLASSES

    if ":" not in loss.use or targets.said_outputs(loss.use, loss.arguments).meaning is not None:
        return True
    of_classes = next((dataset for dataset in read if dataset.classes is not None), None)
    asking = next((metric for metric in draft.sections.metrics or () if metric in OF_CLASSES), None)
    if of_classes is None and asking is None:
        return True
    use = f"`loss: {{use: {loss.use}, {targets.OUTPUTS}: logits}}`"
    classes, numbers = listing(targets.CLASS_OUTPUTS[::2]), listing(targets.NUMBER_OUTPUTS)
    each = "" if of_classes is None else f", one for each of {of_classes.classes} classes"
    if of_classes is not None and of_classes.class_names is not None:
        advice = f"Give {use}, or {classes}{each}"
    else:
        advice = f"Give {use}, or {classes}{each}; or {numbers}, one for each number of a target"
    rule = "is a loss of your own, so say what a model's outputs are to it"
    draft.complain(loss.place, f"{loss.use} {rule}", "", f"{advice}. `{targets.COUNT}: 1` says that there is one")
    return False


def _schedules(draft: Draft, datasets: Datasets) -> None:
    schedules = [
        each for each in _taken(draft, "schedule", SCHEDULES) if (each.use, each.arguments) != ("constant", {})
    ]
    for schedule in schedules:
        if ":" in schedule.use:
            from sweeps.training import constants
            from sweeps.training.check_signatures import check_schedule

            _tried(draft, schedule.place, check_schedule, schedule.use, schedule.arguments)
            arrays = constants.of_schedule(schedule.use, schedule.arguments)
            datasets.note(OF_SCHEDULE, schedule.use, schedule.arguments, arrays)
    _, unrated = _rates(draft)
    is_searched = not draft.sections.names.isdisjoint(RATES)
    for use, optimizers in sample_configs(draft, "optimizer").items() if schedules else ():
        if ARGUMENTS.get(use, {}).get("learning_rate"):
            continue  # the optimizer needs one itself
        if use in unrated:
            _no_rate(draft, "a schedule needs a learning rate", unrated[use])
        elif not is_searched and not all("learning_rate" in optimizer.arguments for optimizer in optimizers):
            rule = f"a schedule needs a learning rate, but {use} is given none"
            draft.complain(("schedule",), rule, "", "Add `learning_rate` to `search_space`")


def _taken(draft: Draft, section: str, known: Mapping[str, Options]) -> list[SampleConfig]:
    """Samples of a loss or a schedule, but for those built-in ones that do not take their arguments."""
    taken = []
    for sample in itertools.chain.from_iterable(sample_configs(draft, section).values()):
        strange = [name for name in sample.arguments if name not in known.get(sample.use, sample.arguments)]
        for name in strange:
            chosen = "loss" if section == "loss" else f"{section}.use"
            others = [each for each, options in known.items() if name in options]
            advice = f"Give it `when: {{{chosen}: [{', '.join(others)}]}}`" if others else "Remove it"
            draft.complain(_place(draft, section, name), f"{sample.use} does not take this argument", "", advice)
        taken += [] if strange else [sample]
    return taken


def _names(samples: list[SampleConfig]) -> list[str]:
    return list(dict.fromkeys(name for sample in samples for name in sample.arguments))


def _complain(draft: Draft, section: str, fault: ArgumentFault) -> None:
    draft.complain(_place(draft, section, fault.name), fault.rule, "", fault.advice)


def _place(draft: Draft, section: str, name: str) -> Path:
    """Where a component's argument is written: in its own section, or in the search space."""
    dotted = f"{section}.{name}"
    return ("search_space", dotted) if dotted in draft.sections.names else (section, name)


def _use_place(draft: Draft, section: str, use: str) -> Path:
    """Where a component's `use` is written: in its own section, or among the choices for it."""
    name = f"{section}.use"
    space = draft.sections.search_space
    searched = written_values(name, space[name]) if name in space else []
    return next((place for place, value in searched if value == use), (section, "use"))


def _tried(draft: Draft, path: Path, find: Callable[..., Found], *arguments: Any) -> Found | None:
    """What `find(*arguments)` finds; None, and a complaint about `path`, where it raises one of our errors."""
    try:
        return find(*arguments)
    except SweepError as error:
        draft.complain(path, str(error))
        return None

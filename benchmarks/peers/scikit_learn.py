"""scikit-learn: an `MLPClassifier` for each trial, an epoch of it at a time, on the rows that `sweep run` trains.

python -m benchmarks.peers.scikit_learn digits_csv [--cores]

`--cores` trains a trial on each core, as `n_jobs=-1` does elsewhere in scikit-learn. What is not the list's is switched
off: the penalty on weights (`alpha`) and stopping early. Adam's constants are those of optax; the initial weights are
scikit-learn's own.
"""

from __future__ import annotations

from benchmarks.data import Arrays, load_scaled
from benchmarks.peers.common import Timer, asked, print_result
from benchmarks.workloads import FixedTrial, Workload

watch = Timer()
with watch.phase("import"):
    import numpy as np
    from sklearn.neural_network import MLPClassifier
    from sklearn.utils.parallel import Parallel, delayed


def final_accuracy(workload: Workload, arrays: Arrays, trial: FixedTrial, number: int) -> float:
    """Train a trial, and look at the test rows after each epoch."""
    model = MLPClassifier(
        workload.arguments["hidden"],
        solver="adam",
        alpha=0.0,
        batch_size=trial.batch_size,
        learning_rate_init=trial.learning_rate,
        random_state=number,
    )
    for _ in range(trial.epochs):
        model.partial_fit(arrays.train_x, arrays.train_y, classes=np.arange(workload.outputs))
        _, accuracy = evaluate(model, arrays)
    return accuracy


def evaluate(model: MLPClassifier, arrays: Arrays) -> tuple[float, float]:
    """Loss and accuracy on the test rows, from one forward pass."""
    chances = model.predict_proba(arrays.test_x)
    of_target = chances[np.arange(len(chances)), arrays.test_y]
    loss = -np.log(np.maximum(of_target, 1e-30)).mean()
    return float(loss), float((chances.argmax(axis=1) == arrays.test_y).mean())


def main() -> None:
    workload, trials, options = asked()
    with watch.phase("data"):
        arrays = load_scaled(workload)
    with watch.phase("sweep"):
        tasks = [(workload, arrays, trial, number) for number, trial in enumerate(trials)]
        if "--cores" in options:
            accuracies = Parallel(n_jobs=-1)(delayed(final_accuracy)(*task) for task in tasks)
        else:
            accuracies = [final_accuracy(*task) for task in tasks]
    print_result(accuracies, watch.seconds)


if __name__ == "__main__":
    main()

"""PyTorch: modules and a loop over minibatches of tensors in memory, inside an Optuna objective.

python -m benchmarks.peers.pytorch WORKLOAD
"""

from __future__ import annotations

from benchmarks.data import load_scaled
from benchmarks.peers.common import Timer, asked, optimize, print_result, suggest
from benchmarks.workloads import Workload

workload, trials, _ = asked()
watch = Timer()
with watch.phase("import"):
    import optuna
    import torch
    from torch import nn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

with watch.phase("data"):
    arrays = load_scaled(workload)
    train_x, train_y, test_x, test_y = (torch.from_numpy(array.copy()).to(DEVICE) for array in arrays[:4])
    train_y, test_y = train_y.long(), test_y.long()
    if workload.network == "cnn":
        train_x, test_x = (x.permute(0, 3, 1, 2).contiguous() for x in (train_x, test_x))


class LastHidden(nn.Module):
    """An LSTM's hidden state after the last step."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        # With PyTorch's own initial values this network was far less accurate after the same epochs than the JAX
        # peers' and `sweep run`'s, whose input weights have variance one over the inputs.
        nn.init.kaiming_normal_(self.lstm.weight_ih_l0, nonlinearity="linear")
        for gate in self.lstm.weight_hh_l0.data.chunk(4):
            nn.init.orthogonal_(gate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0][:, -1]


def network(workload: Workload) -> nn.Module:
    arguments, inputs, outputs = workload.arguments, workload.input_shape, workload.outputs
    if workload.network == "lstm":
        return nn.Sequential(LastHidden(inputs[-1], arguments["hidden"]), nn.Linear(arguments["hidden"], outputs))
    if workload.network == "cnn":
        first, second = arguments["channels"]
        flat = (inputs[0] // 4) * (inputs[1] // 4) * second
        convolutions = [
            nn.Conv2d(inputs[-1], first, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        ]  # fmt: skip
        return nn.Sequential(*convolutions, nn.Flatten(), *dense(flat, arguments["hidden"], outputs))
    return nn.Sequential(*dense(inputs[0], *arguments["hidden"], outputs))


def dense(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)]


@torch.no_grad()
def evaluate(model: nn.Module) -> float:
    logits = model(test_x)
    nn.functional.cross_entropy(logits, test_y)
    return (logits.argmax(dim=1) == test_y).float().mean().item()


def objective(trial: optuna.Trial) -> float:
    learning_rate, batch_size, epochs = suggest(trial)
    torch.manual_seed(trial.number)
    model = network(workload).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(train_x), device=DEVICE).split(batch_size):
            loss = nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracy = evaluate(model)
        trial.report(accuracy, epoch)
    return accuracy


if __name__ == "__main__":
    with watch.phase("sweep"):
        accuracies = optimize(trials, objective)
    print_result(accuracies, watch.seconds)

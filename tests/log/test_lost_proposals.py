"""A proposal that damage has taken from the log leaves its number and its place in the sampler's sequence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sweeping import small

from sweeps.errors import LogError
from sweeps.runner.journal import Journal
from sweeps.storage.paths import RunFolder
from sweeps.study import Study, StudyEvent

SAMPLERS = ["random", "qmc"]
"""Those whose proposals depend on nothing but their place in the sequence."""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_comes_after_a_lost_proposal_is_what_would_have_come(sampler: str) -> None:
    if sampler == "qmc":
        pytest.importorskip("scipy")
    config = small(sampler={"use": sampler})
    whole = Study(config)
    proposals = [whole.ask() for _ in range(4)]
    first, last = proposals[0], proposals[3]
    assert first is not None
    events: list[StudyEvent] = [("ask", *first), ("lost", 1), ("tell", 1, "failed", None), ("lost", 2)]
    assert Study.from_events(config, events).ask() == last


def test_a_lost_point_of_a_grid_is_passed_over() -> None:
    space = {"epochs": 1, "batch_size": 8, "learning_rate": {"type": "categorical", "choices": [0.1, 0.2, 0.3]}}
    config = small(search_space=space, sampler={"use": "grid"})
    proposal = Study.from_events(config, [("lost", 0), ("lost", 1)]).ask()
    assert proposal is not None
    assert (proposal.number, proposal.params) == (2, {"learning_rate": 0.3})


def test_a_lost_proposal_out_of_order_is_refused() -> None:
    with pytest.raises(LogError, match="must be numbered in order, but 1"):
        Study.from_events(small(), [("lost", 1)])


@pytest.mark.parametrize("is_ended", [True, False])
def test_the_journal_tells_of_lost_proposals_in_their_order(tmp_path: Path, is_ended: bool) -> None:
    """Trial 1 has lost its proposal, trial 2 everything; trial 3 is whole."""
    folder, params = RunFolder(tmp_path), {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}
    figures = {"train_loss": 1.0, "valid_loss": 1.0, "metrics": {}, "seconds": 0.1}
    journal, _ = Journal.open(small(), folder)
    with journal:
        journal.record("run", config=journal.config)
        journal.record("ask", number=0, params=params)
        journal.record("start", number=1, attempt=1)
        journal.record("epoch", number=1, attempt=1, repeat=0, epoch=1, **figures)
        if is_ended:
            journal.record("outcome", number=1, attempt=1, outcome="completed", reason="", value=1.0, epochs=1)
        journal.record("ask", number=3, params=params)
    journal, earlier = Journal.open(small(), folder)
    with journal:
        events = list(earlier.study_events(journal.config, "valid_loss"))
        told = [("tell", 1, "failed", None)] if is_ended else []
        assert events == [("ask", 0, params), ("lost", 1), *told, ("lost", 2), ("ask", 3, params)]
        assert journal.lost() == ([2] if is_ended else [1, 2])
        assert sorted(journal.trials) == [0, 1, 2, 3]
        assert math.isnan(journal.trials[2].value)
        proposal = Study.from_events(small(), events).ask()
        assert proposal is not None
        assert proposal.number == 4

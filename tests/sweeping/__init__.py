"""What the engine's tests share: small data sets, small models, short configs, and ways to train trials.

Configs name what stands here as `sweeping:name`, as a user's config names a user's functions; each name is defined in
the file of its topic.
"""

from __future__ import annotations

import sys
from pathlib import Path

import reference

from sweeping.checks import TRAINING, assert_same, counting_compilations, host, take
from sweeping.configs import config, fixed, regression, small
from sweeping.datasets import blobs, plane, poisoned, tokens, xor
from sweeping.models import (
    Seen,
    UnfinishedError,
    certainty,
    curved,
    embedding,
    filed,
    flat,
    forgetful,
    logarithm,
    moody,
    watching,
)
from sweeping.runs import TIMES, finish, follow, records, timeless
from sweeping.training import (
    CPU,
    Params,
    Single,
    Trained,
    forget_programs,
    lane_trial,
    lane_values,
    make_programs,
    mapped,
    refer,
    restart,
    shared_programs,
    single,
    train_in_lanes,
    use_policy,
    vmapped,
)
from sweeps.config import space
from sweeps.datasets.loading import Datasets
from sweeps.runner import start

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # `models/` is the user's side, and is not installed
    sys.path.insert(0, str(ROOT))

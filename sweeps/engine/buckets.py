"""One to three buckets of batch sizes, each with a program of its own, for lanes that train side by side.

Vmapped lanes walk in step, so each costs what the slowest in its lane group costs. In a lane group whose lanes take 32
examples and 512 examples an update most of them wait; in two lane groups they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from sweeps.training.microbatch import LARGEST

STEP_ROWS = 128
"""What a step costs each lane besides its rows, in rows. Arithmetic, not a measurement: Adam moves 28 bytes a parameter
and step, a row takes 6 operations a parameter. On an H100 (3.35 TB/s; 67 TFLOP/s in float32, 495 in TF32, by its data
sheet) that update takes as long as 93 rows, or 690."""
BUCKET_GAIN = 0.25
"""Another bucket must save this fraction of the modelled cost: it is compiled too, and a lane group of it that has too
few trials leaves lanes idle."""
MOST_BUCKETS = 3


def choose_buckets(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """The micro-batch size of each bucket, ascending; a batch goes to the first that holds it, or else to the last.

    >>> choose_buckets([100]), choose_buckets([1_000]), choose_buckets([32, 64])
    ((100,), (250,), (32,))
    >>> choose_buckets([32, 64, 128, 256, 512])
    (32, 64)
    """
    sizes = sorted(set(batch_sizes))
    last = {start: _last_bucket(sizes, start) for start in range(len(sizes))}
    chosen: tuple[int, ...] = (last[0],)
    least = bucket_cost(sizes, chosen)
    for count in range(2, min(MOST_BUCKETS, len(sizes)) + 1):
        ways = [
            (*(sizes[start - 1] for start in starts), last[starts[-1]])
            for starts in combinations(range(1, len(sizes)), count - 1)
            if sizes[starts[-1] - 1] < min(last[starts[-1]], LARGEST)
        ]
        best = min(ways, key=lambda buckets: bucket_cost(sizes, buckets), default=chosen)
        if bucket_cost(sizes, best) > (1 - BUCKET_GAIN) * least:
            break
        chosen, least = best, bucket_cost(sizes, best)
    return chosen


def bucket_cost(batch_sizes: Sequence[int], buckets: Sequence[int]) -> float:
    """Modelled cost of an example, in rows, the mean over these batch sizes; each costs what its bucket's slowest does.

    >>> bucket_cost([32, 64], [64]), bucket_cost([32, 64], [32, 64])
    (6.0, 4.0)
    """
    total = 0.0
    for index, size in enumerate(buckets):
        above = buckets[index - 1] if index else 0
        held = [each for each in batch_sizes if above < each and (each <= size or index == len(buckets) - 1)]
        steps = max((-(-each // size) / each for each in held), default=0.0)
        total += len(held) * steps * (size + STEP_ROWS)
    return total / len(batch_sizes)


def _last_bucket(sizes: Sequence[int], start: int) -> int:
    """The size that serves `sizes[start:]` best by itself: larger batches than it are split evenly."""
    served = sizes[start:]
    powers = {2**exponent for exponent in range(LARGEST.bit_length())}
    even = {-(-each // -(-each // LARGEST)) for each in served}
    candidates = sorted(size for size in powers | even if size <= served[-1])
    return min(candidates, key=lambda size: bucket_cost(served, (size,)))

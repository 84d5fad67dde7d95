"""Whatever a config's file holds: a config or a `ConfigError` in plain lines comes of it, soon and in little memory.

Inputs are mutated from the shipped configs (110,000 in a long run): bytes of their text, their structure (as YAML text
and as Python values), and overrides. `BOUND_S` is of processor time for one input, `BOUND_BYTES` what all
inputs together may add to the process.
"""

from __future__ import annotations

import copy
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counts import IS_LONG, counted, listed, seeds

from sweeps.config import SweepConfig, as_draft, parse_config, read_draft, to_yaml
from sweeps.config.draft import Draft
from sweeps.config.yaml.reader import read
from sweeps.config.yaml.writer import write
from sweeps.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
TEXTS = [path.read_bytes() for path in CONFIGS]
BARE = [re.sub(rb"(?m)^\s*#.*\n|\s+#.*$", b"", text) for text in TEXTS]
TREES: list[Any] = [read(text.decode()).value for text in TEXTS]
BOUND_S = 2.0
BOUND_BYTES = 64 * 2**20
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

TOKENS = (
    b"- ? : , [ ] { } # & * ! | > ' \" % @ ` ~ << --- ... &a *a !!int !!python/object: null .nan .inf -.inf 1e400 "
    b"0x 0o8 1_000 9223372036854775808 -0 \\ \\x00 \\ud800 \xef\xbb\xbf \xe2\x80\xae \xff \xc3 \x00 \x1b[2J \t \r "
    b"use type low high choices log step when epochs trials search_space"
).split(b" ")
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**400),
    *(0.0, -0.0, 5e-324, 1e-300, 1e308, math.inf, -math.inf, math.nan, 0.1 + 0.2, 1 - 2**-53),
    *(
        "",
        " ",
        "\n",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "\u202e",
        "é\u0301",
        "😀" * 40,
        "x" * 100_000,
        "a:b",
        "a.b:c",
        ":",
        ".",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "models.mlp:MLP",
        "sgd",
        "auto",
        "grid",
        "none",
        "1e-3",
        "yes",
        "~",
        "'",
        "%s{}",
    ),
    *([], [[]], [[[[[[]]]]]], {}, {"use": []}, {"type": "float"}, {"choices": []}, {"": ""}, (1,), {1: 2}, [None] * 3),
    {"type": "int", "low": 2**63 - 1, "high": 2**63 - 1, "step": 2**62},
    {"type": "float", "low": 5e-324, "high": 1e308, "log": True},
    {"type": "float", "low": -1e308, "high": 1e308, "step": 5e-324},
    {"type": "categorical", "choices": [1, 1.0, True]},
    {"type": "int", "low": 0, "high": 1, "when": {"epochs": 1, "model.hidden": [1]}},
    *(b"bytes", 1j, object(), range(3), {1, 2}, len),
)
PLAIN = [
    value for value in HOSTILE if not isinstance(value, bytes | complex | range | set) and type(value) is not object
]
WRITABLE = [value for value in PLAIN if value is not len and value not in ({1: 2},)]


def mutated_bytes(chance: random.Random) -> bytes:
    """A shipped text with one to eight edits: bytes flipped, cut, repeated, moved, or made of YAML's own signs."""
    text = bytearray(chance.choice(chance.choice((TEXTS, BARE, BARE, BARE))))
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((1, 1, 2, 8, 80)))
        match chance.randrange(6):
            case 0 if start < len(text):
                text[start] ^= 1 << chance.randrange(8)
            case 1:
                del text[start:end]
            case 2:
                text[start:start] = text[start:end] * chance.choice((1, 1, 2, 30))
            case 3:
                text[start:start] = chance.choice(TOKENS) * chance.choice((1, 1, 1, 25))
            case 4:
                text[start:end] = bytes(chance.randrange(256) for _ in range(end - start))
            case _:
                place = chance.randrange(len(text) + 1)
                text[place:place] = text[start:end]
    return bytes(text)


def mutated_tree(chance: random.Random, values: list[Any]) -> Any:
    """A shipped config with one to six edits: keys deleted, renamed, swapped, values replaced, wrapped, moved."""
    tree = copy.deepcopy(chance.choice(TREES))
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        inner = list(containers(tree))
        if not inner:
            break
        _edit(chance, chance.choice(inner), inner, values)
    return tree


def _edit(chance: random.Random, holder: Any, inner: list[Any], values: list[Any]) -> None:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not keys:
        return
    key, other = chance.choice(keys), chance.choice(keys)
    match chance.randrange(8):
        case 0:
            del holder[key]
        case 1:
            holder[key], holder[other] = holder[other], holder[key]
        case 2 if isinstance(holder, dict):
            holder[_renamed(chance, key)] = holder.pop(key)
        case 3:
            holder[key] = [holder[key]] if chance.random() < 0.5 else {str(other): holder[key]}
        case 4:
            deep = chance.choice((3, 18, 40))
            for _ in range(deep):
                holder[key] = {"x": holder[key]} if chance.random() < 0.5 else [holder[key]]
        case 5:
            holder[key] = copy.deepcopy(chance.choice(inner))
        case 6 if type(holder[key]) in (int, float) and abs(holder[key]) < 2**63:
            holder[key] = chance.choice((-holder[key], holder[key] * 1e18, holder[key] + 0.5, 1 / (holder[key] or 1)))
        case _:
            holder[key] = copy.deepcopy(chance.choice(values))  # an edit to come must not reach into `values`


def _renamed(chance: random.Random, key: Any) -> str:
    known = ("use", "type", "when", "choices", "low", "high", "lanes", "enqueue", "seed", "optimizer.b1", "model.use")
    text = str(key)
    return chance.choice((*known, text + "s", text.upper(), f"{text}.{text}", text[:-1], "\x07" + text, "k" * 300))


def containers(tree: Any) -> Iterator[Any]:
    """Every mapping and list in a tree."""
    pending = [tree]
    while pending:
        found = pending.pop()
        if isinstance(found, dict | list):
            yield found
            pending.extend(found.values() if isinstance(found, dict) else found)


def override(chance: random.Random) -> str:
    """`PATH=VALUE`, more or less."""
    steps = [
        chance.choice(("search_space", "epochs", "low", "model", "use", "0", "", "budget", "trials", "[0]", "x" * 500))
    ]
    while chance.random() < 0.6:
        steps.append(
            chance.choice(("high", "learning_rate", "optimizer.b1", "choices", "-1", "99999999999", "name", "\n"))
        )
    value = chance.choice(
        ("", "1", "-0", "1e999", "[", "{a: b", "*a", "&a 1", "!!set {}", "null", "'", "x" * 2000, "[[[]]]")
    )
    return chance.choice((".", ".", "..", "=")).join(steps) + chance.choice(("=", "=", "==", "")) + value


# ---- what each input goes through ------------------------------------------------------------------------------------


def outcome(draft: Callable[[], Draft]) -> str:
    """`config` or `refused`; whatever else comes of an input is raised. What is refused is told in plain lines."""
    try:
        config = draft().config()
    except ConfigError as error:
        lines = str(error).split("\n")
        is_told = len(lines) == len(error.complaints) and all(map(str.strip, lines)) and len(str(error)) < 200_000
        return "refused" if is_told and not any(map(UNPRINTABLE.search, lines)) else f"refused in odd words: {lines}"
    return "config" if isinstance(config, SweepConfig) else f"a {type(config).__name__}"


def fuzz(chosen: range, make: Callable[[random.Random], Any], draft: Callable[[Any], Draft]) -> Counter[str]:
    """Outcomes of so many inputs, each of its own seed. An input that breaks a rule is named by its seed."""
    outcomes: Counter[str] = Counter()
    slowest, before = 0.0, 0
    for index, seed in enumerate(chosen):
        given = make(random.Random(seed))
        if index == min(500, len(chosen) // 2):
            _most_bytes()
            before = _most_bytes()  # what is made once is there now
        started = time.process_time()
        try:
            came = outcome(lambda given=given: draft(given))
        except Exception as error:
            raise AssertionError(f"input of seed {seed}: {error!r}: {given!r:.2000}") from error
        assert came in ("config", "refused"), f"input of seed {seed}: {came}: {given!r:.2000}"
        outcomes[came] += 1
        slowest = max(slowest, time.process_time() - started)
        assert slowest < BOUND_S, f"input of seed {seed} took {slowest:.1f} s: {given!r:.2000}"
    grown = _most_bytes() - before
    assert grown < BOUND_BYTES, f"{grown:,} bytes more"
    said = f"{listed(outcomes)}; the slowest took {slowest * 1000:.0f} ms of processor time"
    counted(f"{len(chosen):,} mutated configs are read", said)
    return outcomes


def assert_both(outcomes: Counter[str], least: int) -> None:
    """Inputs were of both kinds: `least` of each in a long run, and some in any."""
    assert min(outcomes["config"], outcomes["refused"]) > (least if IS_LONG else 0)


def _most_bytes() -> int:
    """The most memory that this process has held since the last call, in bytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    most = int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    Path("/proc/self/clear_refs").write_text("5")  # count anew from here
    return most


@pytest.mark.slow
def test_files_of_mutated_bytes_are_configs_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.yaml"

    def draft(text: bytes) -> Draft:
        path.write_bytes(text)
        return read_draft(path)

    outcomes = fuzz(seeds(20_000, 750), mutated_bytes, draft)
    assert_both(outcomes, 1000)


@pytest.mark.slow
def test_mutated_structures_are_configs_or_refused() -> None:
    outcomes = fuzz(seeds(70_000, 2_500), lambda chance: mutated_tree(chance, list(HOSTILE)), as_draft)
    assert_both(outcomes, 1000)


@pytest.mark.slow
def test_mutated_structures_written_as_yaml_are_configs_or_refused() -> None:
    outcomes = fuzz(seeds(5_000, 250), lambda chance: write(mutated_tree(chance, WRITABLE)), as_draft)
    assert_both(outcomes, 100)


@pytest.mark.slow
def test_mutated_overrides_are_configs_or_refused() -> None:
    def draft(texts: list[str]) -> Draft:
        return as_draft(copy.deepcopy(TREES[-1]), texts)

    outcomes = fuzz(
        seeds(15_000, 1_500), lambda chance: [override(chance) for _ in range(chance.randrange(1, 4))], draft
    )
    assert_both(outcomes, 100)


@pytest.mark.slow
def test_a_mutated_structure_that_is_a_config_is_written_and_read_back_the_same() -> None:
    kept = 0
    chosen = seeds(2_000, 200)
    for seed in chosen:
        draft = as_draft(mutated_tree(random.Random(seed), list(HOSTILE)))
        if not draft.complaints:
            kept += 1
            assert parse_config(to_yaml(draft.config())) == draft.config()
    assert kept > len(chosen) / 40

"""YAML text to values: what a scalar means, what is refused, and that any text at all ends soon."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.config.yaml.file import load_text
from sweeps.config.yaml.reader import MAX_FLAWS, Reading, read
from sweeps.config.yaml.writer import write
from sweeps.errors import ConfigError


def only_flaw(text: str) -> str:
    """The text's single flaw: its line, and what its complaint would say."""
    (flaw,) = read(text).flaws
    return f"{flaw.line}: {flaw.fault.rule} | {flaw.fault.got} | {flaw.fault.advice}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("+.5e+3", 500.0),
        ("010", 10),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
    ],
)
def test_a_plain_scalar_is_what_yaml_1_2_says(text: str, value: object) -> None:
    read_value = read(f"key: {text}").value
    assert read_value == {"key": value}
    assert type(read_value["key"]) is type(value)


def test_nan_is_a_float() -> None:
    assert math.isnan(read("key: .nan").value["key"])


@pytest.mark.parametrize(
    "text", ["no", "yes", "on", "off", "y", "1_000", "1e", "e5", "0b1", "1:30", "2026-01-01", "tRue", "nan", "inf", "."]
)
def test_a_plain_scalar_of_yaml_1_1_alone_is_text(text: str) -> None:
    assert read(f"key: {text}").value == {"key": text}


@pytest.mark.parametrize("text", ["'1e-4'", '"true"', "'~'", "'010'", "|-\n  12"])
def test_a_quoted_scalar_is_text(text: str) -> None:
    value = read(f"key: {text}").value["key"]
    assert isinstance(value, str)


def test_every_path_knows_its_line() -> None:
    reading = read("a: 1\nb:\n  c: [x,\n      y]\n\n  d.e:\n    2")
    assert reading.lines == {
        (): 1, ("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 0): 3, ("b", "c", 1): 4, ("b", "d.e"): 6,
    }  # fmt: skip


def test_an_alias_is_a_copy() -> None:
    value = read("a: &x [1]\nb: *x").value
    assert value == {"a": [1], "b": [1]}
    assert value["a"] is not value["b"]


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("", "1: a config must not be empty |  | configs/mnist.yaml shows what it can hold"),
        ("# only a comment\n", "1: a config must not be empty |  | configs/mnist.yaml shows what it can hold"),
        ("a: 1\nb: 2\na: 3", "3: a key must appear once | it at lines 1 and 3 | Remove one"),
        ("a: {b: 1,\n b: 1}", "2: a key must appear once | it at lines 1 and 2 | Remove one"),
        (
            "a: 1\nb: !!python/object/apply:os.system [ls]",
            "2: tags are not allowed | `!!python/object/apply:os.system` | Remove it; quotes make a value text",
        ),
        ("a: !x 1", "1: tags are not allowed | `!x` | Remove it; quotes make a value text"),
        ("a: ! 12", "1: tags are not allowed | `!` | Remove it; quotes make a value text"),
        ("a: !!int 3", "1: tags are not allowed | `!!int` | Remove it; quotes make a value text"),
        ("a: *x", "1: an alias must repeat a value that ends before it | `*x` | "),
        ("a: &x [*x]", "1: an alias must repeat a value that ends before it | `*x` | "),
        ("a: &x {b: 1}\nc:\n  <<: *x", "3: merge keys (`<<`) are not allowed |  | Write the keys out"),
        ("a: 1\n2: b", "2: keys must be text | 2 | Quote it"),
        ("a: 1\ntrue: b", "2: keys must be text | true | Quote it"),
        ("? [a]\n: b", "1: keys must be text | ['a'] | Quote it"),
        ("? {a: 1}\n: b", "1: keys must be text | {a: 1} | Quote it"),
        ("a: " + "[" * 25 + "]" * 25, "1: values must be nested at most 20 deep | a deeper one | "),
        (
            "a: 1\n---\nb: 1",
            "2: there must be one YAML document | a second one after `---` | Give each sweep a file of its own",
        ),
        ("a: 1\nb: \x07", "2: there must be no control characters | U+0007 | Remove it"),
        ('a: "\\e[31m"', "1: text must hold no control characters | U+001B | Remove it"),
        ('a: "\\ud800"', "1: text must hold no control characters | U+D800 | Remove it"),
        ("a: 99999999999999999999", "1: whole numbers must fit in 64 bits | 99999999999999999999 | "),
        ('a: "\\UFFFFFFFF"', "1: YAML syntax: a number or an escape is out of range |  | "),
    ],
)
def test_a_flaw_is_told_in_one_line_with_its_place(text: str, flaw: str) -> None:
    assert only_flaw(text) == flaw


@pytest.mark.parametrize(
    ("text", "line", "problem", "advice"),
    [
        ("a: 1\nb: [1, 2\nc: 3", 3, "expected ',' or ']'", "Close what was opened, and put commas between its items"),
        ("a:\n\tb: 1", 2, "found character '\\t' that cannot start any token", "Indent with spaces, not tabs"),
        ("a: b: c", 1, "mapping values are not allowed here", "Quote text that holds `: `, and check the indentation"),
        ("a: 1\nb", 2, "could not find expected ':'", "Write `key: value`"),
        ("a: 'x\ny", 2, "found unexpected end of stream (while scanning a quoted scalar, begun at line 1)", ""),
        ("a: @x", 1, "found character '@' that cannot start any token", ""),
    ],
)
def test_a_syntax_error_is_told_in_one_line_with_its_place(text: str, line: int, problem: str, advice: str) -> None:
    (flaw,) = read(text).flaws
    assert flaw.line == line
    assert flaw.fault.rule.startswith(f"YAML syntax: {problem}")
    assert flaw.fault.advice == advice
    assert "\n" not in flaw.fault.rule


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read("'<<': 1").value == {"<<": 1}


def test_the_first_of_duplicate_keys_is_kept() -> None:
    assert read("a: 1\na: 2").value == {"a": 1}


def test_flaws_that_do_not_stop_the_reading_are_all_told() -> None:
    reading = read("a: !x 1\n3: 4\na: 5\nb: *none")
    assert [flaw.line for flaw in reading.flaws] == [1, 2, 3, 4]
    assert reading.value == {"a": 1, "b": None}


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    assert "at most 50,000 values" in only_flaw("\n".join(lines))


def test_more_than_a_hundred_aliases_are_refused() -> None:
    assert "at most 100 aliases" in only_flaw(f"a: &a 1\nb: [{', '.join(['*a'] * 101)}]")


def test_an_anchor_may_be_given_again_as_yaml_says() -> None:
    assert read("a: &x 1\nb: *x\nc: &x 2\nd: *x").value == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_an_alias_cannot_pass_the_depth_limit() -> None:
    text = f"a: &a {'[' * 12}{']' * 12}\nb: {'[' * 12}*a{']' * 12}"
    assert "nested at most 20 deep" in only_flaw(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "{" * 500_000,
        "- " * 400_000,
        "a: [" + "1," * 400_000 + "1]",
        "a: " + "9" * 900_000,
        "x" * 900_000 + ": 1",
        "%YAML " + "9" * 10_000 + ".1\n---\na: 1",
    ],
    ids=["lists", "mappings", "items", "values", "digits", "key", "version"],
)
def test_a_large_text_is_refused_without_being_read_to_its_end(text: str) -> None:
    assert len(read(text).flaws) == 1


def test_too_much_text_is_refused() -> None:
    assert only_flaw("x" * 1_000_001) == "1: there must be at most 1,000,000 characters | 1,000,001 | "


def test_flaws_are_told_up_to_a_number() -> None:
    flaws = read("a: 1\n" * 5000).flaws
    assert len(flaws) == MAX_FLAWS + 1
    assert flaws[-1].fault.rule == "there may be more mistakes; these are the first 200"


@given(st.text(st.sampled_from("ab:-,[]{}&*!|>'\"%@#?~<\\ \n\t0123.eE"), max_size=60))
@settings(max_examples=300)
def test_any_text_is_a_value_or_flaws(text: str) -> None:
    reading = read(text)
    assert isinstance(reading, Reading)
    assert all("\n" not in str(flaw.fault) for flaw in reading.flaws)


PRINTABLE = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn"), exclude_characters="\ufeff"), max_size=20
)
AWKWARD = """1e-4 no true ~ 010 0x1F 1_000 .nan -a a:b # ' " << --- *a &a !x % @ é\u00a0 😀"""
TRICKY = st.sampled_from(["", " ", "\n", "\t", "\r", "- a", "a: b", "a\nb\n", *AWKWARD.split(" ")])
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | PRINTABLE | TRICKY
KEYS = PRINTABLE.filter(bool) | TRICKY.filter(bool)
TREES = st.recursive(
    SCALARS, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS, inside, max_size=3), max_leaves=8
)


@given(TREES)
@settings(max_examples=300)
def test_what_is_written_is_read_back_the_same(tree: object) -> None:
    reading = read(write({"tree": tree}))
    assert reading.flaws == []
    assert repr(reading.value) == repr({"tree": tree})


def problem(path: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "mnist.yaml").touch()
    path = tmp_path / "minst.yaml"
    assert problem(path) == f"{path}: there is no such file. Its folder has mnist.yaml"


def test_a_file_in_a_missing_folder_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.yaml"
    assert problem(path) == f"{path}: there is no such file. Check the path"


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    assert problem(tmp_path) == f"{tmp_path}: a config must be a file, but got a folder"


def test_a_device_is_not_read() -> None:
    assert problem("/dev/zero") == "/dev/zero: a config must be a file, but got something else"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_an_impossible_path_is_one_complaint(name: str) -> None:
    assert "the file cannot be read" in problem(name)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("#" * 1_000_001)
    assert problem(path) == f"{path}: a config must be at most 1,000,000 bytes, but got more. Is it the right file?"


def test_bytes_that_are_not_utf_8_are_found_at_their_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nname: café".encode("latin-1"))
    assert problem(path) == f"{path}:2: the file must be UTF-8 text, but got the byte 0xe9. Save it as UTF-8"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes("name: a".encode("utf-8-sig"))
    assert read(load_text(path)).value == {"name": "a"}

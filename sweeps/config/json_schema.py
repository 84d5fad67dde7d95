"""The JSON Schema of a config, for editors that complete and check.

It is derived: keys and descriptions come from `schema`, names and their arguments from `names`. It accepts every config
that `load_config` accepts; rules that need arithmetic, such as `low <= high`, are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sweeps.config.entries import DOTTED, NEEDED
from sweeps.config.names import FORMULAS, METHODS, OWN, PARAMETERS, Options
from sweeps.config.schema import NAME, Component, SweepConfig
from sweeps.config.values import VALUE_SCHEMA

Schema = dict[str, Any]

_CLASS_WEIGHT: Schema = {
    "description": "`balanced`, or what the loss of each class is multiplied by.",
    "anyOf": [{"type": "object", "additionalProperties": VALUE_SCHEMA}, VALUE_SCHEMA],
}
_ORDINAL: Schema = {
    "description": "Columns of categories that have an order, or a mapping of each to its categories in their order.",
    "anyOf": [{"type": "object", "additionalProperties": VALUE_SCHEMA}, VALUE_SCHEMA],
}


def json_schema() -> Schema:
    """The JSON Schema, draft 2020-12, of a sweep's YAML file."""
    derived: Schema = _tidy(SweepConfig.model_json_schema())
    definitions, properties = derived["$defs"], derived["properties"]
    definitions["Component"] = _component({"type": "string", "minLength": 1}, {}, VALUE_SCHEMA)
    properties["name"]["pattern"] = NAME.pattern
    name = {"type": "string", "minLength": 1}
    _redefine(
        properties["dataset"], _component(name, {"class_weight": _CLASS_WEIGHT, "ordinal": _ORDINAL}, VALUE_SCHEMA)
    )
    _redefine(properties["search_space"], _search_space())
    for section, functions in FORMULAS.items():
        _redefine(properties[section], _formula(functions))
    for section, methods in METHODS.items():
        known = [_method(name, options) for name, options in methods.items()]
        _redefine(properties[section], {"anyOf": [*known, _own()]})
    _redefine(properties["warm_start"], {"anyOf": [name, {"type": "array", "items": name}]})
    for section in ("lanes", "micro_batch"):
        _redefine(properties[section], {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sweep",
        "description": "What to train, what to search, and when to stop.",
        "type": "object",
        "additionalProperties": False,
        "required": [key for key in derived["required"] if key not in DOTTED],
        "properties": properties,
        "allOf": [_given_or_searched(section) for section in DOTTED],
        "$defs": definitions,
    }


def _tidy(node: Any) -> Any:
    """Without pydantic's titles, which repeat the keys, and with descriptions up to their first example."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(item) for key, item in node.items() if not (key == "title" and isinstance(item, str))}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].partition(">>>")[0].split())
    return tidy


def _redefine(section: Schema, shape: Schema) -> None:
    """Give a section another shape, and leave what is said about it."""
    kept = {key: section[key] for key in ("description", "default", "examples") if key in section}
    section.clear()
    section.update(kept | shape)


def _formula(known: Mapping[str, Options]) -> Schema:
    """A known name with its arguments, one's own with any, or any arguments alone where the name is searched."""
    nameless = {"type": "object", "properties": {"use": False}, "additionalProperties": VALUE_SCHEMA}
    return {"anyOf": [*(_method(name, options) for name, options in known.items()), _own(), nameless]}


def _own() -> Schema:
    """One's own by its dotted name, with any arguments."""
    own = _component({"type": "string", "pattern": f"^{OWN.pattern}$"}, {}, VALUE_SCHEMA)
    own["anyOf"][1]["required"] = ["use"]
    return own


def _component(use: Schema, options: dict[str, Schema], others: Schema | bool) -> Schema:
    """A name, or a mapping with `use` and arguments; `use` can be missing where the search space has it."""
    described = use | {"description": Component.model_fields["use"].description}
    mapping = {"type": "object", "properties": {"use": described, **options}, "additionalProperties": others}
    return {"anyOf": [use, mapping]}


def _method(name: str, options: Options) -> Schema:
    known = {argument: kind.json_schema() for argument, kind in options.items()}
    schema = _component({"const": name}, known, others=False)
    schema["anyOf"][1]["required"] = ["use"]
    return schema


_ENTRIES = {"float": "FloatRange", "int": "IntRange", "categorical": "Choices"}


def _search_space() -> Schema:
    properties: Schema = {}
    for name, known in PARAMETERS.items():
        fixed = known.values.json_schema()
        properties[name] = {
            "description": fixed.pop("description"),
            **_entry(fixed, known.types, is_needed=name in NEEDED),
        }
    dotted = _entry(VALUE_SCHEMA, _ENTRIES) | {"description": "An argument of a section of that name."}
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {f"^({'|'.join(DOTTED)})\\.[^.]+$": dotted},
        "required": list(NEEDED),
        "additionalProperties": False,
    }


def _entry(fixed: Schema, types: Iterable[str], *, is_needed: bool = False) -> Schema:
    ranges = [{"$ref": f"#/$defs/{_ENTRIES[each]}"} for each in types]
    several = {"type": "array", "minItems": 1, "items": {"anyOf": ranges, "required": ["when"]}}
    return {"anyOf": [fixed, *ranges, *([] if is_needed or len(ranges) == 1 else [several])]}


def _given_or_searched(section: str) -> Schema:
    """A section with its `use`, or the same in the search space."""
    searched = section if section == "loss" else f"{section}.use"
    given: Schema = {"properties": {section: {"anyOf": [{"type": "string"}, {"required": ["use"]}]}}}
    if SweepConfig.model_fields[section].is_required():
        given["required"] = [section]
    return {"anyOf": [given, {"properties": {"search_space": {"required": [searched]}}}]}

"""Validation errors of a configuration as one sentence each."""

import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

DEEPEST = 20  # maximum nesting
LARGEST = 10**18
RENAMED = {"rule": "target", "recipe": "objective", "simcse_sup": "contrastive"}  # keys, and values of keys
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def sentence(error: Any, within: str = "") -> str:
    """Return one sentence for a jsonschema error: the key (inside of `within`), the problem, the allowed values."""
    if error.validator == "anyOf" and (relevant := _relevant(error)):
        return sentence(relevant, within)
    path = ".".join(filter(None, [within, *map(str, error.absolute_path)]))
    node = error.schema
    match error.validator:
        case "additionalProperties" if "properties" in node:
            key = min(error.instance.keys() - node["properties"].keys())
            prefix = f"{path}." if path else ""
            if RENAMED.get(key) in node["properties"]:
                return f"key '{prefix}{key}' is now called '{prefix}{RENAMED[key]}'."
            near = get_close_matches(key, node["properties"], 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(node['properties'])}."
            return f"unknown key '{prefix}{key}'; {hint}"
        case "required":
            missing = next(key for key in node["required"] if key not in error.instance)
            return f"{path}: the key '{missing}' is missing."
        case "enum" if RENAMED.get(str(error.instance)) in node["enum"]:
            return f"{path}: the value '{error.instance}' is now called '{RENAMED[error.instance]}'."
        case "enum":
            return f"{path} is {_short(error.instance)} but must be one of {', '.join(map(str, node['enum']))}."
        case "type" | "anyOf":
            hint = " Write 2.0e-5: YAML reads 2e-5 as text." if _is_number(error.instance) else ""
            return f"{path or 'the file'} is {_short(error.instance)} but must be {_type(node)}.{hint}"
        case bound if bound in BOUNDS:
            value = error.instance
            shown = int(value) if isinstance(value, float) and value.is_integer() else value
            return f"{path} is {shown} but must be {BOUNDS[bound]} {error.validator_value}."
        case "format":
            return f"{path} is {_short(error.instance)}, which is not a regular expression."
        case "not":
            return f"{path}: '{error.instance}' is a reserved name; use another one."
        case "minItems" | "minProperties" | "minLength":
            return f"{path} must not be empty."
        case "pattern":
            return f"{path}: '{error.instance}' may contain only letters, digits, '_', '.' and '-'."
        case _:
            return f"{path}: {_cut(error.message)}."


def unusable(value: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Yield a sentence per value that YAML allows but that breaks comparisons, JSON or file names."""
    where = path or "the file"
    if depth > DEEPEST:
        yield f"{where[:60]} is nested more than {DEEPEST} levels deep."
    elif isinstance(value, dict):
        for key, child in value.items():
            if not isinstance(key, str):
                yield f"{where} has the key {_short(key)}, which is not text; put it in quotes."
            elif broken := _broken(key):
                yield f"{where} has the key {_short(key)}, which contains {broken}."
            else:
                yield from unusable(child, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from unusable(child, f"{path}.{number}" if path else str(number), depth + 1)
    elif isinstance(value, str):
        if broken := _broken(value):
            yield f"{where} is {_short(value)}, which contains {broken}."
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where} is not a finite number."
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield f"{where} is a number of more than 18 digits."
    elif not isinstance(value, int | float | None):
        yield f"{where} is of type {type(value).__name__} as YAML reads it; put it in quotes."


def _broken(text: str) -> str | None:
    """Return in words the characters that no file name and no program argument allows; None if there are none."""
    if "\0" in text:
        return "a NUL character"
    return "an unpaired surrogate" if any("\ud800" <= c <= "\udfff" for c in text) else None


def _relevant(error: Any) -> Any | None:
    """Return the error about the alternative of an `anyOf` that has the type of the value, or None."""
    other = {inner.schema_path[0] for inner in error.context if inner.validator == "type" and not inner.path}
    return next((inner for inner in error.context if inner.schema_path[0] not in other), None)


def _type(node: dict[str, Any]) -> str:
    """Return the type that a schema requires, in words."""
    if "anyOf" in node:
        return " or ".join(map(_type, node["anyOf"]))
    return {"object": "a mapping", "array": "a list", "string": "text"}.get(node["type"], f"of type {node['type']}")


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d+)?[eE][-+]?\d+", value) is not None


def _short(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

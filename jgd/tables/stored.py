"""A schema and a target as JSON, to lie beside the weights of a model."""

import datetime
from typing import Any

from jgd.tables.columns import Column, Schema
from jgd.tables.complaints import TableError
from jgd.tables.target import Target

VERSION = 1
KINDS = ("number", "date", "category")
TASKS = ("regression", "binary", "multiclass")
TIMES: dict[str, Any] = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}


def to_json(schema: Schema, target: Target | None = None) -> dict[str, Any]:
    """What json.dumps takes, and `from_json` takes back without a loss.

    Args:
      schema: from `infer_columns`.
      target: from `infer_target`.

    Returns:
      A dict of dicts, lists, text, numbers and truth values.

    >>> schema = Schema((Column("cut", "category", ("Fair", "Ideal"), 0.0, 1.0, False),))
    >>> from_json(to_json(schema, Target("price", "regression", (), 0)))[0] == schema
    True
    """
    columns = [column._asdict() | {"values": list(column.values)} for column in schema.columns]
    result: dict[str, Any] = {"version": VERSION, "columns": columns}
    if target is not None:
        classes = [_stored(value) for value in target.classes]
        result["target"] = target._asdict() | {"classes": classes}
    return result


def from_json(stored: Any) -> tuple[Schema, Target | None]:
    """The schema and the target that `to_json` made a dict of.

    Args:
      stored: that dict.

    Returns:
      Both; None for a target where there was none.

    Raises:
      TableError: the dict is of another make; the message says where.

    >>> from_json({"version": 1, "columns": []})
    Traceback (most recent call last):
    jgd.tables.complaints.TableError: The model's table is broken: no columns. Fit the model again.
    """
    if not isinstance(stored, dict) or not isinstance(stored.get("columns"), list):
        raise _broken("a dict with the list columns is wanted")
    if stored.get("version") != VERSION:
        raise TableError(
            f"The model's table is of version {stored.get('version')!r}, but this jgd reads version "
            f"{VERSION}. Update jgd, or fit the model again."
        )
    if not stored["columns"]:
        raise _broken("no columns")
    columns = tuple(_column(place, column) for place, column in enumerate(stored["columns"]))
    target = _target(stored["target"]) if stored.get("target") is not None else None
    return Schema(columns), target


def _column(place: int, stored: Any) -> Column:
    where = f"columns[{place}]"
    fields = _fields(where, stored, Column._fields)
    values = fields["values"]
    right = {
        "name": isinstance(fields["name"], str),
        "kind": fields["kind"] in KINDS,
        "values": isinstance(values, list) and all(isinstance(value, str) for value in values),
        "mean": _is_finite(fields["mean"]),
        "scale": _is_finite(fields["scale"]) and fields["scale"] >= 0,
        "missing": isinstance(fields["missing"], bool),
    }
    _check(where, fields, right)
    return Column(**fields | {"values": tuple(values)})


def _target(stored: Any) -> Target:
    fields = _fields("target", stored, Target._fields)
    right = {
        "name": isinstance(fields["name"], str),
        "task": fields["task"] in TASKS,
        "classes": isinstance(fields["classes"], list)
        and (len(fields["classes"]) >= 2) == (fields["task"] != "regression"),
        "missing": isinstance(fields["missing"], int),
    }
    _check("target", fields, right)
    return Target(**fields | {"classes": tuple(map(_restored, fields["classes"]))})


def _fields(where: str, stored: Any, names: tuple[str, ...]) -> dict[str, Any]:
    lacking = [name for name in names if not isinstance(stored, dict) or name not in stored]
    if lacking:
        raise _broken(f"{where} lacks {', '.join(lacking)}")
    return {name: stored[name] for name in names}


def _check(where: str, fields: dict[str, Any], right: dict[str, bool]) -> None:
    for name, is_right in right.items():
        if not is_right:
            raise _broken(f"{where}.{name} is {str(fields[name])[:60]!r}")


def _stored(value: Any) -> Any:
    # A datetime is a date too, so the name of the type is asked for.
    name = type(value).__name__
    return {name: value.isoformat()} if name in TIMES else value


def _restored(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    try:
        ((name, text),) = value.items()
        return TIMES[name].fromisoformat(text)
    except (KeyError, ValueError, TypeError) as error:
        raise _broken(f"target.classes holds {str(value)[:60]!r}") from error


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _broken(what: str) -> TableError:
    return TableError(f"The model's table is broken: {what}. Fit the model again.")

"""What a run left in its directory, checked."""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from jgd.report.pictures import Picture, picture

SUMMARY, CONFIG, HISTORY, FIGURES = "summary.json", "config.toml", "history.jsonl", "figures"
WANTED: dict[Any, str] = {str: "a text", list: "a list", dict: "an object"}
AGAIN = "Make it again: jgd fit ... --out {}"


class Table(NamedTuple):
    """A table of results.

    Attributes:
      title: above it.
      columns: names of the columns.
      rows: as many values each.
    """

    title: str
    columns: list[str]
    rows: list[list]


class Run(NamedTuple):
    """What a run left; what it left out is empty.

    Attributes:
      command: `fit`, `sweep`, ...
      title: in a few words.
      facts: name and value of what matters most.
      status: how it ended, the name of a `jgd.Status` or other words.
      explanation: what became of it.
      notes: on the data and what was done to them.
      advice: what to do next.
      tables: of results.
      pictures: of results.
      versions: name -> version.
      config: name -> value, every choice of the run.
      history: a dict for each epoch, with the same keys.
    """

    command: str
    title: str
    facts: list[tuple[str, Any]]
    status: str
    explanation: str
    notes: list[str]
    advice: list[str]
    tables: list[Table]
    pictures: list[Picture]
    versions: dict[str, Any]
    config: dict[str, Any]
    history: list[dict[str, Any]]


def read(directory: Any) -> Run:
    """What the run left in its directory.

    Args:
      directory: a path.

    Returns:
      The run.

    Raises:
      ValueError: there is no such directory or no summary in it, or a file does not hold what it should.
    """
    folder = Path(directory)
    if not folder.is_dir():
        what = "which is no directory" if folder.exists() else "which is not there"
        raise ValueError(
            f"directory is {folder}, {what}, but what a command wrote is wanted. "
            f"Make it: jgd fit ... --out {folder}"
        )
    summary = _summary(folder)
    take = _Taker(folder, summary)
    return Run(
        command=take.text("command"),
        title=take.text("title") or folder.resolve().name,
        facts=[(str(name), value) for name, value in take.rows("facts", 2)],
        status=take.text("status"),
        explanation=take.text("explanation"),
        notes=take.texts("notes"),
        advice=take.texts("advice"),
        tables=[_table(take, place, table) for place, table in enumerate(take.dicts("tables"))],
        pictures=[_picture(folder, figure) for figure in take.dicts("figures")],
        versions=take.of_type("versions", dict, {}),
        config=_config(folder),
        history=_history(folder),
    )


class _Taker(NamedTuple):
    """Takes the parts of a summary, and says what is wrong with one."""

    folder: Path
    summary: dict

    def of_type(self, key: str, kind: type, default: Any) -> Any:
        value = self.summary.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            wanted = WANTED[kind]
            raise self.wrong(f"{key} is {_shown(value)}, but {wanted} is wanted")
        return value

    def text(self, key: str) -> str:
        return self.of_type(key, str, "")

    def texts(self, key: str) -> list[str]:
        values = self.of_type(key, list, [])
        for value in values:
            if not isinstance(value, str):
                raise self.wrong(f"{key} holds {_shown(value)}, but texts are wanted")
        return values

    def dicts(self, key: str) -> list[dict]:
        values = self.of_type(key, list, [])
        for value in values:
            if not isinstance(value, dict):
                raise self.wrong(f"{key} holds {_shown(value)}, but objects are wanted")
        return values

    def rows(self, key: str, num: int) -> list[list]:
        values = self.of_type(key, list, [])
        for value in values:
            if not isinstance(value, list) or len(value) != num:
                raise self.wrong(f"{key} holds {_shown(value)}, but lists of {num} values are wanted")
        return values

    def wrong(self, sentence: str) -> ValueError:
        return ValueError(f"{self.folder / SUMMARY}: {sentence}. {AGAIN.format(self.folder)}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _table(take: _Taker, place: int, table: dict) -> Table:
    inner = _Taker(take.folder, table)
    columns = [str(name) for name in inner.of_type("columns", list, [])]
    if not columns:
        raise take.wrong(f"tables[{place}] has no columns")
    return Table(inner.text("title"), columns, inner.rows("rows", len(columns)))


def _picture(folder: Path, figure: dict) -> Picture:
    name = str(figure.get("name", ""))
    title = str(figure.get("title", name.replace("_", " ")))
    return picture(folder / FIGURES, name, title, str(figure.get("alt", title)))


def _summary(folder: Path) -> dict:
    path = folder / SUMMARY
    if not path.is_file():
        raise ValueError(
            f"directory is {folder}, which holds no {SUMMARY}, so it is no finished run. "
            f"{AGAIN.format(folder)}"
        )
    summary = _json(path, _read(path), 0)
    if not isinstance(summary, dict):
        raise ValueError(
            f"{path} holds {_shown(summary)}, but an object is wanted. {AGAIN.format(folder)}"
        )
    return summary


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML ({error}). Mend it, or remove it.") from None


def _history(folder: Path) -> list[dict[str, Any]]:
    """A dict for each epoch, with the keys of all; None where one was not there."""
    path = folder / HISTORY
    lines = _read(path).splitlines() if path.is_file() else []
    epochs = [_json(path, line, place) for place, line in enumerate(lines, start=1) if line.strip()]
    for epoch in epochs:
        if not isinstance(epoch, dict):
            raise ValueError(
                f"{path} holds {_shown(epoch)}, but an object in each line is wanted. Remove the file, "
                "and the page will have no history."
            )
    keys = dict.fromkeys(key for epoch in epochs for key in epoch)
    return [{key: epoch.get(key) for key in keys} for epoch in epochs]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise ValueError(f"{path} cannot be read ({reason}). {AGAIN.format(path.parent)}") from None


def _json(path: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f"line {line}" if line else f"line {getattr(error, 'lineno', 1)}"
        reason = getattr(error, "msg", "it is nested too deeply")
        raise ValueError(f"{path}, {at}: no JSON ({reason}). {AGAIN.format(path.parent)}") from None

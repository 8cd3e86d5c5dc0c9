"""Write docs/benchmarks.md from the results of all benchmarks and from what findings.md says of them."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness import RESULTS, Figure, Row, digits, readable

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
ORDER = (
    "limits",
    "stochastic",
    "minibatch",
    "network",
    "full_gradient",
    "least_squares",
    "batch_sizes",
    "sweeps",
    "cross_validation",
    "halving",
    "estimators",
    "time_to_accuracy",
    "convex",
    "scaling",
    "start_up",
    "command_line",
)
MISSED = "**missed**"
ACCELERATOR = "accelerator"  # the script, whose results are of one kind of device each
ACCELERATORS = "Accelerators"
NOT_MEASURED = """\
Not measured yet: no accelerator was at hand; run `python experiments/benchmarks/accelerator.py` on one.
"""

INTRODUCTION = """\
# Benchmarks

All competitors of a line ran in turns, in one process and one run; a time is the median of at least
five after a warm-up, without compiling where nothing else is said. **`4.2x` says that a competitor
takes 4.2 times as long as the first line of its group**; below 1 it is the faster one. Trust the ratios,
not the times: machines are noisy, and two runs do not compare. What falls short of its aim is marked
{missed}.

The text under a table says why it is as it is. It was written for the runs of November 2026 with
jax 0.12; a later run moves the second digit of a ratio, and not the reason. A figure that stands in no
table was measured once, when the code was written.

`make bench` repeats all of it and writes this page; the scripts and the findings are in
[experiments/benchmarks](../experiments/benchmarks).
"""

# script -> version of jax, the newest first -> what `harness.save` wrote
Results = dict[str, dict[str, Any]]


def main() -> None:
    results = load(RESULTS)
    on_devices = [results.pop(name) for name in list(results) if name.startswith(f"{ACCELERATOR}-")]
    findings = sections((HERE / "findings.md").read_text())
    named = [name for name in ORDER if name in results]
    others = sorted(results.keys() - set(ORDER))
    parts = [
        INTRODUCTION.format(missed=MISSED),
        machines(results.values()),
        *(section(name, results[name], findings.get(name, "")) for name in [*named, *others]),
        accelerators(on_devices, findings.get(ACCELERATOR, "")),
    ]
    PAGE.write_text("\n".join(parts))
    print(f"written: {PAGE}")


def load(folder: Path) -> dict[str, Results]:
    found: dict[str, Results] = {}
    for path in folder.glob("*-jax*.json"):
        name, version = path.stem.rsplit("-jax", 1)
        found.setdefault(name, {})[version] = json.loads(path.read_text())
    return {name: newest_first(results) for name, results in found.items()}


def newest_first(by_version: dict[str, Any]) -> dict[str, Any]:
    def numbers(version: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", version)]

    return {version: by_version[version] for version in sorted(by_version, key=numbers, reverse=True)}


def sections(text: str) -> dict[str, str]:
    """The text under each heading of the second level, by heading."""
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    pairs = (part.partition("\n") for part in parts)
    return {heading.strip(): body.strip() for heading, _, body in pairs}


def machines(results: Iterable[Results]) -> str:
    """What ran where: a column for each version of jax."""
    return "## Machine and versions\n\n" + facts(results)


def facts(results: Iterable[Results]) -> str:
    """Processor, cores, versions and dates."""
    found: dict[str, list[dict[str, Any]]] = {}
    for version, content in [item for r in results for item in r.items()]:
        machine = content["machine"]
        facts = {key: machine[key] for key in ("processor", "cores", "python")} | machine["packages"]
        facts |= {"XLA_FLAGS": machine["xla_flags"], "date": machine["date"]}
        found.setdefault(version, []).append(facts)
    found = newest_first(found)
    names = dict.fromkeys(name for of_version in found.values() for m in of_version for name in m)
    lines = [
        [name, *(_distinct(m[name] for m in found[v] if name in m) for v in found)] for name in names
    ]
    header = ["", *(f"jax {version}" for version in found)]
    return table(header, lines)


def _distinct(values: Iterable[Any]) -> str:
    """All values that the scripts of one version met."""
    return " or ".join(dict.fromkeys(str(value) or "none" for value in values)) or "none"


def section(name: str, results: Results, findings: str) -> str:
    """Heading, tables, notes and findings of one script."""
    newest = next(iter(results.values()))
    rows = {version: [Row(**r) for r in content["rows"]] for version, content in results.items()}
    parts = [
        f"## {newest['question']}",
        f"`{name}.py`; times are per {newest['unit']}.",
        comparisons(rows),
        limited(rows),
        figures({v: [Figure(**f) for f in c.get("figures", ())] for v, c in results.items()}),
        notes({version: content["notes"] for version, content in results.items()}),
        findings and findings + "\n",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def accelerators(results: Iterable[Results], findings: str = "") -> str:
    """The section of `accelerator.py`, without what ran on a CPU."""
    contents = [content for by_version in results for content in by_version.values()]
    contents = [content for content in contents if content["platform"] != "cpu"]
    if not contents:
        return f"## {ACCELERATORS}\n\n{NOT_MEASURED}"
    return accelerator_section(contents, findings)


def accelerator_section(contents: Iterable[dict[str, Any]], findings: str = "") -> str:
    """A column for each kind of device and version of jax, and what they belong to."""
    by_device = newest_first({_version_and_device(content): content for content in contents})
    return section(ACCELERATOR, by_device, findings) + "\n" + facts([by_device])


def _version_and_device(content: dict[str, Any]) -> str:
    machine = content["machine"]
    return f"{machine['packages']['jax']}, {machine['devices'][0]}"


def comparisons(rows: dict[str, list[Row]]) -> str:
    """A line for each competitor, a column for each version; nothing where nothing was compared."""
    by_work = _by_work({v: [r for r in found if r.limit is None] for v, found in rows.items()})
    lines = []
    for work, versions in by_work.items():
        names = dict.fromkeys(name for row in versions.values() for name in row.seconds)
        aims = {name: aim for row in versions.values() for name, aim in row.targets.items()}
        for place, name in enumerate(names):
            cells = [_compared(versions.get(version), name) for version in rows]
            aim = f"{digits(aims[name])}x" if name in aims else ""
            lines.append(["" if place else work, name, *cells, aim])
    if not lines:
        return ""
    return table(["work", "", *(f"jax {version}" for version in rows), "aim"], lines)


def _by_work(rows: dict[str, list[Row]]) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for version, of_version in rows.items():
        for row in of_version:
            found.setdefault(row.work, {})[version] = row
    return found


def _compared(row: Row | None, name: str) -> str:
    if row is None or name not in row.seconds:
        return "-"
    time, ratio = readable(row.seconds[name]), row.ratio(name)
    if name == next(iter(row.seconds)):
        return time
    return _judged(f"{time}, {digits(ratio)}x", ratio >= row.targets.get(name, 0))


def _judged(cell: str, good: bool) -> str:
    return cell if good else f"{cell}, {MISSED}"


def limited(rows: dict[str, list[Row]]) -> str:
    """A line for each piece of work that has a limit, a column for each entry and version."""
    by_work = _by_work({v: [r for r in found if r.limit is not None] for v, found in rows.items()})
    if not by_work:
        return ""
    names = list(
        dict.fromkeys(n for rows in by_work.values() for row in rows.values() for n in row.seconds)
    )
    columns = [(name, version) for name in names for version in rows]
    lines = []
    for work, versions in by_work.items():
        cells = [_limited(versions.get(version), name) for name, version in columns]
        lines.append([work, *cells, f"at most {readable(next(iter(versions.values())).limit or 0)}"])
    return table(["work", *(f"{name}, jax {version}" for name, version in columns), "aim"], lines)


def _limited(row: Row | None, name: str) -> str:
    if row is None or row.limit is None or name not in row.seconds:
        return "-"
    return _judged(readable(row.seconds[name]), row.seconds[name] <= row.limit)


def figures(found: dict[str, list[Figure]]) -> str:
    """A line for each figure, a column for each version."""
    by_name: dict[str, dict[str, Figure]] = {}
    for version, of_version in found.items():
        for figure in of_version:
            by_name.setdefault(figure.what, {})[version] = figure
    if not by_name:
        return ""
    lines = []
    for what, versions in by_name.items():
        _, _, unit, limit = next(iter(versions.values()))
        cells = [_figure(versions.get(version)) for version in found]
        lines.append([what, *cells, "" if limit is None else f"at most {digits(limit)} {unit}"])
    return table(["figure", *(f"jax {version}" for version in found), "aim"], lines)


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    good = figure.limit is None or figure.value <= figure.limit
    return _judged(f"{digits(figure.value)} {figure.unit}", good)


def notes(found: dict[str, list[str]]) -> str:
    """All notes; what only some versions say bears their names."""
    said: dict[str, list[str]] = {}
    for version, of_version in found.items():
        for note in of_version:
            said.setdefault(note, []).append(version)
    return "\n".join(
        f"- {note}" if len(versions) == len(found) else f"- jax {', '.join(versions)}: {note}"
        for note, versions in said.items()
    )


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    rule = ["---"] * len(header)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, rule, *lines))


if __name__ == "__main__":
    main()

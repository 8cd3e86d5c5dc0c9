"""`jgd info`. It wants typer alone, for it is asked where something is missing."""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

PACKAGES = (
    *("jax", "jaxlib", "optax", "numpy", "polars", "scikit-learn", "matplotlib", "orbax-checkpoint"),
    *("pyarrow", "rich", "typer", "safetensors", "jinja2", "tensorboardX"),
)
EXTRAS = {
    "cli": "the commands of jgd",
    "plot": "figures",
    "sklearn": "estimators for scikit-learn, jgd demo",
    "checkpoint": "saving and resuming",
    "stream": "rows in Parquet and Arrow files",
    "tensorboard": "a log for TensorBoard",
}


def info(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show versions, devices and extras, such as for the report of an error."""
    found = gathered()
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    elif not quiet:
        print("\n".join(lines(found)))


def gathered() -> dict[str, Any]:
    """Versions, devices, and of each extra what is missing."""
    import jgd

    extras = {}
    for name in EXTRAS:
        lacking = [package for package in packages_of(name) if version(package) is None]
        extras[name] = {"installed": not lacking, "missing": lacking}
    return {
        "command": "info",
        "jgd": jgd.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in PACKAGES},
        **_devices(),
        "extras": extras,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    versions = {name: number or "not installed" for name, number in found["versions"].items()}
    pairs = {
        "jgd": found["jgd"],
        "python": f"{found['python']}, {found['executable']}",
        "system": f"{found['platform']}, {found['machine']}",
        "devices": ", ".join(found["devices"]) or found["trouble"],
        **versions,
    }
    said = [f"{name:<18}{value}" for name, value in pairs.items()]
    said += ["", "Extras"]
    for name, extra in found["extras"].items():
        is_there = "installed" if extra["installed"] else f"missing: {', '.join(extra['missing'])}"
        said.append(f"{name:<18}{is_there} ({EXTRAS[name]})")
    missing = [name for name, extra in found["extras"].items() if not extra["installed"]]
    if missing:
        said += ["", f"Install what is missing: pip install 'jgd[{','.join(missing)}]'"]
    return said


def packages_of(extra: str) -> list[str]:
    """Names of the packages of an extra, with those of the extras that it takes in."""
    names: dict[str, None] = {}
    for requirement in _requirements():
        what, _, marker = requirement.partition(";")
        if not re.search(rf"extra\s*==\s*['\"]{extra}['\"]", marker):
            continue
        others = re.match(r"\s*jgd\[([\w,\s-]+)\]", what)
        if others:
            parts = [packages_of(other.strip()) for other in others[1].split(",")]
            names.update(dict.fromkeys(name for part in parts for name in part))
        else:
            names[re.split(r"[\s<>=!~\[(;]", what.strip())[0]] = None
    return list(names)


def version(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    try:
        return metadata.requires("jgd") or []
    except metadata.PackageNotFoundError:
        return []


def _devices() -> dict[str, Any]:
    """What jax computes on. A driver that fails is told, for that is what one asks for."""
    try:
        import jax

        devices = [f"{d.platform} {d.id} ({d.device_kind})" for d in jax.devices()]
    except Exception as error:
        return {"devices": [], "trouble": " ".join(str(error).split())[:200] or type(error).__name__}
    return {"devices": devices, "trouble": None}

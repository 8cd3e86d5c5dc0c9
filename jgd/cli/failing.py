"""What goes wrong, as one or two lines and an exit code. This wants the standard library alone."""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Any, NoReturn

INSTALL = "Install what is missing: pip install 'jgd[cli,plot,sklearn]'"
DONE, FAILED, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, where there is more to say than that it came. The message says how to go on."""


def fail(message: str, code: int = USAGE_ERROR) -> NoReturn:
    """Say what is wrong and end the program."""
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(code)


def end(error: BaseException) -> NoReturn:
    """End the program for an error: in words if it is about what was given, else with its name."""
    if isinstance(error, KeyboardInterrupt):
        print(f"\n{error}" if str(error) else "\nInterrupted.", file=sys.stderr)
        raise SystemExit(INTERRUPTED)
    if isinstance(error, ValueError) and _is_ours(error):
        fail(str(error))
    if isinstance(error, ImportError):
        is_said = "pip install" in str(error)
        fail(str(error) if is_said else f"{error}.\nInstall what is missing: pip install 'jgd[cli]'")
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        fail(
            "the memory is not enough.\nTake fewer rows, leave out columns of many categories "
            "(--drop NAME), or take a smaller model.",
            FAILED,
        )
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        fail(f"{name}{error.strerror or error}.\nMake room there, or name another place.", FAILED)
    said = " ".join(str(error).split())
    said = said if len(said) <= 300 else f"{said[:300]}..."
    fail(
        f"unexpected {type(error).__name__}: {said}\nSee where: jgd --debug COMMAND ...",
        FAILED,
    )


def _is_ours(error: BaseException) -> bool:
    """Whether jgd itself complained: then the message has the way out."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals.get("__name__", "").partition(".")[0] == "jgd"


def group() -> type:
    """The group of commands, which ends for an error as `end` does, after a traceback if asked for."""
    from typer.core import TyperGroup

    class Group(TyperGroup):
        def invoke(self, context: Any) -> Any:
            try:
                return super().invoke(context)
            except Exception as error:
                if _is_of_click(error) or getattr(error, "errno", None) == errno.EPIPE:
                    raise
                _show_traceback(context)
                end(error)
            except KeyboardInterrupt as error:
                _show_traceback(context)
                end(error)

        def main(self, *arguments: Any, **options: Any) -> Any:
            is_alone = options.get("standalone_mode", True)
            options["standalone_mode"] = False
            if not is_alone:
                return super().main(*arguments, **options)
            try:
                code = super().main(*arguments, **options)
            except Exception as error:
                if not hasattr(error, "format_message"):
                    raise
                _fail_for_usage(error)
            raise SystemExit(code if isinstance(code, int) else DONE)

    return Group


def _is_of_click(error: BaseException) -> bool:
    """Exits, and errors of usage; typer has a copy of click in new versions, and click itself in old."""
    import typer

    return isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "format_message")


def _show_traceback(context: Any) -> None:
    if context.params.get("debug"):
        traceback.print_exc()


def _fail_for_usage(error: Any) -> NoReturn:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "jgd"
    said = " ".join(error.format_message().split())
    fail(f"{said}\nSee: {path} --help", getattr(error, "exit_code", USAGE_ERROR))

"""The ``perfmodel`` command: errors become one line and an exit code here, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper

from perfmodel.errors import PerfmodelError

BUG, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without µ is no reason to fail
    code = run(sys.argv[1:])
    with suppress(OSError):
        sys.stdout.flush()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; only a bug raises.

    0 answered, 2 bad usage or bad input, 3 a plan that cannot be, 5 a validation outside its tolerance,
    130 interrupted.
    """
    from perfmodel.cli.root import command

    try:
        code = command().main(list(arguments), prog_name="perfmodel", standalone_mode=False)
        sys.stdout.flush()
    except PerfmodelError as error:
        return _failed(str(error), error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(f"{place}{error.strerror or error}", BAD_INPUT)
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except Exception as error:
        if (text := _usage(error)) is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error, file=sys.stderr)
            return BAD_INPUT
        return _failed(text, BAD_INPUT)
    if code == INTERRUPTED:  # Typer takes the exception
        _failed("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    if code == INTERRUPTED:
        print(file=sys.stderr)
    print(f"error: {message}", file=sys.stderr)
    return code


def _usage(error: Exception) -> str | None:
    """Return the text of a usage error, and None for anything else (Typer exports no base class of them)."""
    say = getattr(error, "format_message", None)
    if say is None:
        return None
    where = getattr(getattr(error, "ctx", None), "command_path", "perfmodel")
    text = say().rstrip(".")
    return f"{text[:1].lower()}{text[1:]} (see '{where} --help')"

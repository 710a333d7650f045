"""The command line, ``diabolo`` or ``python -m diabolo``: the list of its commands, and how they end."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from diabolo import (
    InvalidDataError,
    InvalidParameterError,
    ModelFileError,
    TrainingDivergedError,
    __version__,
    _cli_apply,
    _cli_bench,
    _cli_export,
    _cli_fit,
    _cli_info,
    _cli_sample,
    _demo,
)
from diabolo._cli_errors import CommandError


class Command(Protocol):
    """A module or an object; `run` returns the exit code."""

    SUMMARY: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the command's options."""
        ...

    def run(self, arguments: argparse.Namespace, /) -> int:
        """Do it."""
        ...


_COMMANDS: dict[str, Command] = {
    "demo": _demo,
    "fit": _cli_fit,
    "transform": _cli_apply.TRANSFORM,
    "reconstruct": _cli_apply.RECONSTRUCT,
    "score": _cli_apply.SCORE,
    "sample": _cli_sample,
    "info": _cli_info,
    "export": _cli_export,
    "bench": _cli_bench,
}

_EPILOG = """\
a first session:
  diabolo demo                                              see what an autoencoder does
  diabolo fit rows.csv -o model.safetensors --n-components 8 --scale standard
  diabolo info model.safetensors
  diabolo score model.safetensors rows.csv -o scores.csv    low scores: odd rows
  diabolo export model.safetensors -o model.onnx

`diabolo COMMAND --help` shows a command's options and examples.

exit codes: 0 done, 2 something to put right, 130 interrupted, 141 the reader of the output has left
"""


def _parser() -> argparse.ArgumentParser:
    program = "diabolo" if Path(sys.argv[0]).name == "diabolo" else "python -m diabolo"
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=program, description="Autoencoders on CPUs.", epilog=_EPILOG, formatter_class=layout
    )
    parser.add_argument("--version", action="version", version=f"diabolo {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in _COMMANDS.items():
        summary = command.SUMMARY
        its_parser = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=command.EXAMPLES,
            formatter_class=layout,
        )
        command.add_arguments(its_parser)
        its_parser.set_defaults(run=command.run, program=f"{program} {name}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warner(arguments.program)
            code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130  # as a shell reports it
    except BrokenPipeError:
        # Whoever read our output has left; what is still in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (
        CommandError,
        InvalidDataError,
        InvalidParameterError,
        ModelFileError,
        TrainingDivergedError,
        MemoryError,
    ) as error:
        return _failed(arguments.program, str(error))
    except OSError as error:
        named = "" if error.filename is None else f"{error.filename}: "
        return _failed(arguments.program, f"{named}{error.strerror}" if error.strerror else str(error))
    return code


def _warner(program: str) -> Callable[..., None]:
    """Return what shows a warning in one line, without the place in the program that raises it."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(f"{program}: warning: {message}", file=sys.stderr)

    return show


def _failed(program: str, message: str) -> int:
    print(f"{program}: error: {message.rstrip()}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

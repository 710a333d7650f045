"""The command line, ``python -m diabolo``: the list of its commands; each is a module of its own."""

import argparse
import os
import sys
from collections.abc import Sequence

from diabolo import __version__, _demo

# A command is a module with SUMMARY, add_arguments(parser) and run(arguments), which returns the exit code.
_COMMANDS = {"demo": _demo}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m diabolo", description="Autoencoders on CPUs.")
    parser.add_argument("--version", action="version", version=f"diabolo {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in _COMMANDS.items():
        summary = command.SUMMARY
        its_parser = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        command.add_arguments(its_parser)
        its_parser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130  # as a shell reports it
    except BrokenPipeError:
        # Whoever read our output has left; what is still in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())

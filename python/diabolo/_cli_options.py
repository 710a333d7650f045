"""Options of commands: the hyper-parameters of every kind of model, from their own rules and descriptions."""

import argparse
import ast
import contextlib
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

from diabolo import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    SparseAutoEncoder,
    StackedAutoEncoder,
    VariationalAutoEncoder,
    optimizers,
    schedules,
)
from diabolo._cli_errors import CommandError
from diabolo._network_estimator import NetworkEstimator
from diabolo._parameters import RULES
from diabolo._validation import OrNone, Rule, Widths

# What --model offers. Another kind is another line; its hyper-parameters become options by themselves.
KINDS: dict[str, type[NetworkEstimator]] = {
    "autoencoder": AutoEncoder,
    "denoising": DenoisingAutoEncoder,
    "contractive": ContractiveAutoEncoder,
    "sparse": SparseAutoEncoder,
    "stacked": StackedAutoEncoder,
    "variational": VariationalAutoEncoder,
}

# Set by an option of another meaning, or of none in a process that fits once.
_NOT_OPTIONS = ("verbose", "callbacks", "warm_start")

_OBJECTS: dict[str, Callable[..., Any]] = {
    cls.__name__: cls for cls in (*optimizers.BY_NAME.values(), *schedules.BY_NAME.values())
}
# Of a stacked model, for each layer where there are several of them.
_OF_LAYERS = ("pretraining", "pretraining_epochs")
# Written as in Python.
_LITERALS = ("pretraining_parameters", "categorical_groups")

_WORDS: dict[str, Any] = {"none": None, "true": True, "false": False}


def add_kind_options(parser: argparse.ArgumentParser) -> None:
    """Declare --model and an option for each hyper-parameter that any kind has."""
    names = list(KINDS)
    parser.add_argument(
        "--model", choices=names, default=names[0], help="kind of autoencoder (default: %(default)s)"
    )
    group = parser.add_argument_group(
        "hyper-parameters",
        "Lists are written 128,64; nothing is none; optimizers and schedules may have settings: "
        "'SGD(momentum=0.9)'.",
    )
    seen: set[str] = set()
    for kind in KINDS.values():
        described = _descriptions(kind)
        for name, default in kind._defaults().items():
            if name in seen or name in _NOT_OPTIONS:
                continue
            seen.add(name)
            flags = [f"--{name.replace('_', '-')}"] + ["--seed"] * (name == "random_state")
            words = described.get(name, "")
            group.add_argument(
                *flags,
                dest=f"parameter_{name}",
                metavar="VALUE",
                default=argparse.SUPPRESS,
                help=f"{words} (default: {_written(default)})".strip().replace("%", "%%"),
            )


def chosen_estimator(arguments: argparse.Namespace) -> NetworkEstimator:
    """Return an unfitted estimator of the kind and with the hyper-parameters that were given."""
    kind = KINDS[arguments.model]
    known = kind._defaults()
    parameters: dict[str, Any] = {}
    for option, text in vars(arguments).items():
        if not option.startswith("parameter_"):
            continue
        name = option.removeprefix("parameter_")
        if name not in known:
            flag = f"--{name.replace('_', '-')}"
            raise CommandError(f"{flag} is no hyper-parameter of --model {arguments.model}")
        parameters[name] = value_of(name, text)
    return kind(**parameters)


def value_of(name: str, text: str) -> object:
    """Return the value that a text means for a hyper-parameter. Whether it may have it, `fit` will say."""
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _is_widths(RULES.get(name)):
        with contextlib.suppress(ValueError):
            return tuple(int(width) for width in text.strip("()").split(",") if width.strip())
        return text
    if name in _OF_LAYERS and "," in text:
        return tuple(value_of(name, part) for part in text.split(","))
    if name in _LITERALS:
        return _literal(name, text)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return _object(name, text) if "(" in text else text


def int_from(low: int) -> Callable[[str], int]:
    """Return a type for argparse: ints of at least `low`."""

    def converted(text: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= (value := int(text)) < 2**63:
                return value
        raise argparse.ArgumentTypeError(f"must be an int >= {low}. Got {text!r}.")

    return converted


def _is_widths(rule: Rule | None) -> bool:
    return isinstance(rule.rule if isinstance(rule, OrNone) else rule, Widths)


def _literal(name: str, text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise CommandError(f"--{name.replace('_', '-')}: cannot read {text!r}: {error}") from None


def _object(name: str, text: str) -> object:
    """Return an optimizer or a schedule from its constructor's call; nothing else is evaluated."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("it is no call")
        fields = {str(field.arg): ast.literal_eval(field.value) for field in call.keywords}
        if call.args or call.func.id not in _OBJECTS:
            raise ValueError(f"it must be one of {', '.join(_OBJECTS)}, its settings named")
    except (ValueError, SyntaxError) as error:
        raise CommandError(f"--{name.replace('_', '-')}: cannot read {text!r}: {error}") from None
    try:
        return _OBJECTS[call.func.id](**fields)
    except TypeError as error:
        raise CommandError(f"--{name.replace('_', '-')}: {error}") from None


def _written(value: object) -> str:
    """Return a default as one would write it on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none at all"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _descriptions(kind: type) -> dict[str, str]:
    """Return the first sentence of each hyper-parameter's description, from the class's own text."""
    found: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        text = inspect.cleandoc(cls.__doc__ or "")
        section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+$|\Z)", text, re.MULTILINE | re.DOTALL)
        entries = r"^(\w[\w, ]*) : .*\n((?: .*\n|\n)*)"
        for names, body in re.findall(entries, section[1] + "\n" if section else "", re.MULTILINE):
            words = " ".join(textwrap.dedent(body).split()).replace("`", "")
            sentence = re.match(r".*?(?<!\be\.g)\.(?= [A-Z]|$)", words)
            for name in names.split(", "):
                found[name] = (sentence[0] if sentence else words).rstrip(".")
    return found

"""Rules for hyper-parameters: what a value must be, in code and in words.

Which parameter has which rule, and rules that join several parameters, stand elsewhere.
"""

import math
import numbers
import operator
import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from diabolo.exceptions import InvalidParameterError

# The core counts in signed 64-bit integers.
MAX_INT = 2**63 - 1
_MAX_SHOWN = 100


class Refused(Exception):
    """The value breaks the rule."""


class Rule:
    """One rule. `description` completes the sentence "n_components must be ..."."""

    description: str

    @abstractmethod
    def convert(self, value: object) -> Any:
        """Return the value as a plain Python object, or raise Refused."""


class Integer(Rule):
    """An int of at least `low`; numpy's too, but no bool, which is rather a mistake."""

    def __init__(self, low: int) -> None:
        self.low = low
        self.description = f"an int >= {low}"

    def convert(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise Refused
        number = operator.index(value)
        if not self.low <= number <= MAX_INT:
            raise Refused
        return number


class Real(Rule):
    """A number between bounds, each of them included or not; never NaN, and infinite only if `infinite`."""

    def __init__(
        self,
        low: float,
        high: float = math.inf,
        *,
        above_low: bool = False,
        below_high: bool = False,
        infinite: bool = False,
    ) -> None:
        self.low, self.high = low, high
        self.above_low, self.below_high, self.infinite = above_low, below_high, infinite
        if high == math.inf:
            self.description = f"a{'' if infinite else ' finite'} number {'>' if above_low else '>='} {low:g}"
        else:
            left, right = "(" if above_low else "[", ")" if below_high else "]"
            self.description = f"a number in {left}{low:g}, {high:g}{right}"

    def convert(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise Refused
        try:
            number = float(value)
        except OverflowError:  # an int beyond the range of float
            raise Refused from None
        if not (math.isfinite(number) or (self.infinite and number == math.inf)):
            raise Refused
        if number < self.low or (self.above_low and number == self.low):
            raise Refused
        if number > self.high or (self.below_high and number == self.high):
            raise Refused
        return number


class Flag(Rule):
    """True or False and nothing that merely behaves like them."""

    description = "True or False"

    def convert(self, value: object) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise Refused
        return bool(value)


class Choice(Rule):
    """One of a few names."""

    def __init__(self, options: Iterable[str]) -> None:
        self.options = tuple(options)
        self.description = listed(self.options)

    def convert(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise Refused
        return str(value)


class Verbosity(Rule):
    """0, 1 or 2; True and False are so usual here that they are taken as 1 and 0."""

    description = "0, 1 or 2"

    def convert(self, value: object) -> int:
        if not isinstance(value, (numbers.Integral, np.bool_)) or int(value) not in (0, 1, 2):
            raise Refused
        return int(value)


class Widths(Rule):
    """The widths of consecutive layers."""

    description = "a sequence of ints >= 1, such as (256, 64) or, for one layer, (256,)"

    def convert(self, value: object) -> tuple[int, ...]:
        if isinstance(value, (str, bytes, Mapping, set, frozenset)) or not isinstance(value, Iterable):
            raise Refused
        width = Integer(1)
        return tuple(width.convert(item) for item in value)


class Each(Rule):
    """A sequence of what another rule takes."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.description = f"a sequence of which each is {rule.description}"

    def convert(self, value: object) -> tuple[Any, ...]:
        if isinstance(value, (str, bytes, Mapping, set, frozenset)) or not isinstance(value, Iterable):
            raise Refused
        return tuple(self.rule.convert(item) for item in value)


class FileName(Rule):
    """A path."""

    description = "the path of a file"

    def convert(self, value: object) -> str:
        if not isinstance(value, (str, os.PathLike)) or not os.fspath(value) or "\0" in os.fsdecode(value):
            raise Refused
        return os.fsdecode(value)


class Named(Rule):
    """An object of class `base`, or the name of one: names map to what makes it with its defaults."""

    def __init__(self, base: type, names: Mapping[str, type]) -> None:
        self.base = base
        self.names = names
        classes = ", ".join(f"diabolo.{cls.__name__}" for cls in names.values())
        self.description = f"{listed(names)}, or an object such as {classes}"

    def convert(self, value: object) -> Any:
        if isinstance(value, self.base):
            return value
        if not isinstance(value, str) or value not in self.names:
            raise Refused
        return self.names[value]()


class Either(Rule):
    """Whatever one of several rules takes, tried in order."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self.description = " or ".join(rule.description for rule in rules)

    def convert(self, value: object) -> Any:
        for rule in self.rules:
            try:
                return rule.convert(value)
            except Refused:
                continue
        raise Refused


class OrNone(Rule):
    """None, or what another rule takes."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.description = f"None or {rule.description}"

    def convert(self, value: object) -> Any:
        return None if value is None else self.rule.convert(value)


def listed(options: Iterable[str]) -> str:
    """Return the names as text: "one of 'a', 'b'", or the only one."""
    names = [repr(option) for option in options]
    return names[0] if len(names) == 1 else "one of " + ", ".join(names)


def shown(value: object) -> str:
    """Return the value's repr, cut to a length that suits a message."""
    try:
        text = repr(value)
    except Exception:  # a broken __repr__ must not hide the error that is being reported
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def broken(owner: str, name: str, rule: str, value: object) -> InvalidParameterError:
    """Return the error to raise when the parameter `name` of `owner` breaks a rule."""
    return InvalidParameterError(f"{owner}: {name} must be {rule}. Got {shown(value)}.")


def checked(owner: str, name: str, rule: Rule, value: object) -> Any:
    """Return the value as the rule converts it; raise InvalidParameterError where it is refused."""
    try:
        return rule.convert(value)
    except Refused:
        raise broken(owner, name, rule.description, value) from None

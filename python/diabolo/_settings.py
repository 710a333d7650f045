"""Immutable objects that hold a few checked numbers: the base of optimizers and schedules.

(What dataclasses would give; but each of those takes half a millisecond to make, at every import.)
"""

from typing import Any, ClassVar, NoReturn

from diabolo._validation import Rule, checked


class Settings:
    """Named values, each with a rule; compared, shown and pickled by value."""

    _rules: ClassVar[dict[str, Rule]] = {}

    def _store(self, **values: object) -> None:
        """Check and keep the arguments of `__init__`."""
        owner = type(self).__name__
        for name, rule in self._rules.items():
            self.__dict__[name] = checked(owner, name, rule, values[name])

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make a new one to change {name}.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be deleted.")

    def __eq__(self, other: object) -> Any:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).items()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"

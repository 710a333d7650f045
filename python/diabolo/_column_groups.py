"""Groups of columns that are one feature: those of a one-hot encoding, or a row that is a distribution."""

import numbers
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from diabolo._architecture import Architecture
from diabolo._inputs import Table
from diabolo._layers import MissingValuesLayer, SoftmaxLayer
from diabolo._validation import Refused, Rule, broken
from diabolo.exceptions import InvalidDataError

# The losses that compare probabilities, of which the core computes a softmax.
SOFTMAX_LOSSES = ("categorical_crossentropy", "kl_divergence")

Groups = tuple[tuple[int, int], ...]  # ranges of columns, [begin, end), in ascending order


class ColumnGroups(Rule):
    """Groups of consecutive columns, by their numbers; no column in two of them."""

    description = (
        "a sequence of groups of consecutive columns, such as [range(3), range(3, 7)] or [[0, 1], [2, 3]], "
        "with no column in two groups"
    )

    def convert(self, value: object) -> Groups:
        groups = sorted(self._range(group) for group in _items(value))
        if not groups or any(end > begin for (_, end), (begin, _) in pairwise(groups)):
            raise Refused
        return tuple(groups)

    @staticmethod
    def _range(group: object) -> tuple[int, int]:
        columns = []
        for column in _items(group):
            if isinstance(column, bool) or not isinstance(column, numbers.Integral) or column < 0:
                raise Refused
            columns.append(int(column))
        if not columns or columns != list(range(columns[0], columns[0] + len(columns))):
            raise Refused
        return columns[0], columns[-1] + 1


def _items(value: object) -> Iterable[object]:
    if isinstance(value, (str, bytes, Mapping, set, frozenset)) or not isinstance(value, Iterable):
        raise Refused
    return value


def loss_groups(features: int, parameters: Any) -> Groups:
    """Return the groups of columns that the loss joins; none for most losses."""
    if parameters.loss not in SOFTMAX_LOSSES:
        return ()
    groups: Groups | None = getattr(parameters, "categorical_groups", None)
    return ((0, features),) if groups is None else groups


def check_groups(owner: str, features: int, parameters: Any, *, all_columns: bool) -> None:
    """Refuse groups of columns that are not there; with `all_columns`, also columns of no group."""
    groups = loss_groups(features, parameters)
    if not groups:
        return
    name = "categorical_groups"
    shown = [range(*group) for group in groups]
    if groups[-1][1] > features:
        raise broken(owner, name, f"groups of the {features} columns of X", shown)
    if all_columns and sum(end - begin for begin, end in groups) != features:
        raise broken(owner, name, f"groups of all the {features} columns of X", shown)


def groups_of(plan: Architecture) -> Groups:
    """Return the groups that a network's last layer makes probabilities of."""
    last = plan.layers[-1]
    return last.groups if isinstance(last, SoftmaxLayer) else ()


def check_probabilities(table: Table, loss: str, plan: Architecture, threads: int) -> None:
    """Refuse groups of columns that hold no probabilities, if the loss compares such; name the first."""
    if loss not in SOFTMAX_LOSSES:
        return
    groups = groups_of(plan)
    # A category that an encoder does not know is often a group of zeros: nothing is known of it, nor asked.
    zeros_allowed = loss == "categorical_crossentropy"
    found = table.rows.find_improper_group(groups, zeros_allowed, threads)
    if found is None:
        return
    row, (begin, end) = found[0], groups[found[1]]
    values = [table.value(row, column) for column in range(begin, min(end, begin + 8))]
    rules = ["be in [0, 1] and have the sum 1"]
    if zeros_allowed:
        rules.append("all be 0")
    if isinstance(plan.layers[0], MissingValuesLayer):
        rules.append("all be missing")
    raise InvalidDataError(
        f"{table.owner}: columns {begin} to {end - 1} of {table.name} must {', or '.join(rules)} when the "
        f"loss is {loss!r}. Got {values}{', ...' if end - begin > 8 else ''} in row {row}."
    )

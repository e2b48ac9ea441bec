"""Oblivious trees as arrays: their checks, what they predict, and what each column contributed.

A tree of depth d asks d questions and has 2**d leaves. The k-th answer is the k-th bit of the number of a row's leaf, the least
first. numpy checks every index, so that no number in a file can make this read what is not its own.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.training.estimators.boosting.boosted_trees import Array, refused
from include.training.estimators.boosting.tree_json import are_floats, require_only, whole_numbers

DEEPEST = 10
"""The most questions of a tree: exact contributions take time in proportion to four to the power of them."""
GAP = -1
"""The level of a missing or unknown one."""
_MOST_LEVELS = 255
_AT_ONCE = 2**22
"""Answers that are held in memory at once."""


def check_trees(model: Any, levels: list[int], columns: int, outputs: int) -> None:
    """Raise `ModelFileRefused` unless trees ask for columns that are there and have as many leaves as they can reach.

    Parameters
    ----------
    model : Any
        What was read of a file.
    levels : list of int
        Columns whose numbers are levels.
    columns, outputs : int
        How many columns there are, and how many numbers the trees give a row.
    """
    require_only(model, "bias", "trees")
    if not are_floats(model["bias"], outputs) or type(model["trees"]) is not list or not model["trees"]:
        raise refused("its trees are of another model")
    for tree in model["trees"]:
        require_only(tree, "splits", "values", "weights")
        if type(tree["splits"]) is not list or len(tree["splits"]) > DEEPEST:
            raise refused("a tree is too deep")
        leaves = 2 ** len(tree["splits"])
        if not are_floats(tree["values"], leaves * outputs):
            raise refused("a tree has another number of leaves")
        if not are_floats(tree["weights"], leaves) or min(tree["weights"]) < 0:
            raise refused("a tree has other weights of leaves")
        for split in tree["splits"]:
            _check_split(split, levels, columns)


def _check_split(split: Any, levels: list[int], columns: int) -> None:
    if type(split) is not list or len(split) != 2 or type(split[0]) is not int or not 0 <= split[0] < columns:
        raise refused("a tree reads a column that is not there")
    column, asked = split
    if column not in levels:
        if not are_floats([asked], 1):
            raise refused("a tree has another threshold")
        return
    right = whole_numbers(asked)
    if np.any(right < GAP) or np.any(right >= _MOST_LEVELS) or np.any(np.diff(right) < 1):
        raise refused("a tree has other sets of levels")


@dataclass(frozen=True)
class Leaves:
    """Trees that were checked, as arrays.

    Attributes
    ----------
    bias : array of shape (n_outputs,)
    columns : array of shape (n_trees, depth)
        The column that each question reads. Shallow trees are filled up with questions that no row affirms.
    borders : array of shape (n_trees, depth)
        A row goes right whose number is above. NaN for questions of levels.
    at : array of shape (n_level_questions,)
        Where among all questions those of levels are.
    sets : array of shape (n_level_questions, 256)
        Whether a level goes right; the last place is that of a gap.
    starts : array of shape (n_trees,)
        Where each tree's leaves begin.
    values : array of shape (n_leaves, n_outputs)
    weights : array of shape (n_leaves,)
    """

    bias: Array
    columns: Array
    borders: Array
    at: Array
    sets: Array
    starts: Array
    values: Array
    weights: Array

    @classmethod
    def of(cls, model: dict[str, Any], levels: list[int], outputs: int) -> Leaves:
        """Return the arrays of trees that `check_trees` accepted."""
        trees = model["trees"]
        depth = max(1, *(len(tree["splits"]) for tree in trees))
        columns = np.zeros((len(trees), depth), dtype=np.int64)
        borders = np.full((len(trees), depth), np.inf)
        at, sets = [], []
        for number, tree in enumerate(trees):
            for place, (column, asked) in enumerate(tree["splits"]):
                columns[number, place] = column
                if column in levels:
                    borders[number, place] = np.nan
                    at.append(number * depth + place)
                    sets.append(np.isin(np.arange(256), np.array(asked) % 256))
                else:
                    borders[number, place] = asked
        return cls(
            np.array(model["bias"], dtype=np.float64),
            columns,
            borders,
            np.array(at, dtype=np.int64),
            np.array(sets, dtype=bool).reshape(len(sets), 256),
            np.cumsum([0, *(len(tree["weights"]) for tree in trees[:-1])]),
            np.concatenate([np.reshape(tree["values"], (-1, outputs)) for tree in trees]).astype(np.float64),
            np.concatenate([tree["weights"] for tree in trees]).astype(np.float64),
        )

    def margins(self, X: Array) -> Array:
        """Return what the trees add up to, of shape (n_rows, n_outputs)."""
        return self._added(X, self.values) + self.bias

    def contributions(self, X: Array, columns: int) -> Array:
        """Return Shapley values of the trees and their base, of shape (n_rows, n_columns + 1); of one output."""
        tables = self.__dict__.get("_tables")
        if tables is None:
            tables = self._shapley(columns)
            object.__setattr__(self, "_tables", tables)
        known = self._added(X, tables)
        known[:, -1] += self.bias[0]
        return known

    def _added(self, X: Array, table: Array) -> Array:
        """Return the sum over trees of a table's rows at each row's leaves."""
        few = max(1, _AT_ONCE // (self.columns.size + len(self.columns) * table.shape[1]))
        parts = [self._leaf_numbers(X[at : at + few]) for at in range(0, len(X), few)]
        return np.concatenate([np.zeros((0, table.shape[1])), *(table[part].sum(axis=1) for part in parts)])

    def _leaf_numbers(self, X: Array) -> Array:
        # CatBoost compares in single precision. NaN is above nothing, as its `nan_mode` of Min has it.
        with np.errstate(over="ignore"):
            single = X.astype(np.float32)
        columns = self.columns.ravel()
        right = single[:, columns] > self.borders.ravel().astype(np.float32)
        if len(self.at):
            asked = X[:, columns[self.at]]
            inside = (asked >= 0) & (asked < _MOST_LEVELS)
            level = np.where(inside, np.nan_to_num(asked), _MOST_LEVELS).astype(np.int64)
            right[:, self.at] = self.sets[np.arange(len(self.at)), level]
        bits = right.reshape(len(X), *self.columns.shape) << np.arange(self.columns.shape[1])
        return np.asarray(bits.sum(axis=2) + self.starts)

    def _shapley(self, columns: int) -> Array:
        """Return for each leaf what each column contributes to its value, the expected value last.

        Of one oblivious tree the Shapley values of a row depend on its leaf only. What is expected when some columns are
        unknown follows the tree from its last question to its first, as CatBoost does, with the weights of its leaves
        (path-dependent TreeSHAP: Lundberg et al., 2020). Trees whose questions share columns alike are computed together.
        """
        out = np.zeros((len(self.values), columns + 1))
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        ends = [*self.starts[1:], len(self.values)]
        for number, (start, end) in enumerate(zip(self.starts, ends, strict=True)):
            asked = self.columns[number, : int(end - start).bit_length() - 1].tolist()
            alike[tuple(asked.index(column) for column in asked)].append(number)
        for pattern, numbers in alike.items():
            depth, players = len(pattern), sorted(set(pattern))
            rows = self.starts[numbers][:, None] + np.arange(2**depth)
            shape = (len(numbers), *[2] * depth)
            value, weight = self.values[rows, 0].reshape(shape), self.weights[rows].reshape(shape)
            expected = {
                known: _expected(value, weight, [first in known for first in pattern])
                for size in range(len(players) + 1)
                for known in itertools.combinations(players, size)
            }
            out[rows, -1] = expected[()].reshape(len(numbers), 1)
            for player in players:
                total = np.zeros(shape)
                for known, without in expected.items():
                    if player not in known:
                        share = 1 / (len(players) * math.comb(len(players) - 1, len(known)))
                        total += share * (expected[tuple(sorted((*known, player)))] - without)
                out[rows, self.columns[numbers, player][:, None]] = total.reshape(len(numbers), -1)
        return out


def _expected(value: Array, weight: Array, known: list[bool]) -> Array:
    """Return what is expected of a row in each leaf, of shape (n_trees, 2, .., 2), if only some of its answers are known."""
    depth = len(known)
    for place in range(depth):
        axis = depth - place  # the least bit is the last axis
        if not known[place]:
            total = weight.sum(axis=axis, keepdims=True)
            value = (value * weight).sum(axis=axis, keepdims=True) / np.where(total > 0, total, 1.0)
        weight = weight.sum(axis=axis, keepdims=True)
    return value

"""All accepted differences: importing this package registers them, answers first, then refusals."""

from . import answers, partiql, refusals, transactions  # noqa: F401  (register their differences)
from .registry import ACCEPTED, Difference

__all__ = ["ACCEPTED", "Difference"]

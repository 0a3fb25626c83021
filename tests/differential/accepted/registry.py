"""Differences from DynamoDB Local that are meant, each with its reason and source.

A difference rewrites the reference's answer into what Partita must say instead; the two are then compared whole. Where
the reference's answer says nothing of what is right (it broke, or does not know the operation), a difference checks
ours as tightly as it can and returns it.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A named difference; `apply(step, ours, theirs)` returns the rewritten answer or None where it does not apply."""

    name: str
    reason: str
    source: str
    apply: Callable


ACCEPTED = []


def difference(reason, source):
    """Registers a function as a difference under its own name, with dashes."""

    def register(function):
        ACCEPTED.append(Difference(function.__name__.replace("_", "-"), reason, source, function))
        return function

    return register


def with_body(answer, **changes):
    """An answer with members of its body replaced; None removes one."""
    body = {**answer["body"], **changes}
    return {**answer, "body": {name: value for name, value in body.items() if value is not None}}


def refusal(answer):
    """The body of an error, or an empty one."""
    body = answer.get("body")
    return body if isinstance(body, dict) and "__type" in body else {}


def asked(step):
    """The members of a request, none where its body is no object."""
    return step.body if isinstance(step.body, dict) else {}


ENVELOPE = "1 validation error detected: "

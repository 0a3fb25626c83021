"""Prints what one server answers to the cases, one line a request: for reading, not for judging.

    python -m differential.show http://127.0.0.1:8000 [scenario prefix …]

Members and expression values that a third of a scenario's requests share are printed once, at its head.
"""

import json
import sys
from collections import Counter

from . import cases  # noqa: F401  (registers the scenarios)
from .scenario import SCENARIOS, Step
from .wire import Wire

WIDTH = 260
TABLES_OF_PARTS = ("ExpressionAttributeValues", "ExpressionAttributeNames")


def text(value):
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def clip(line):
    """At most WIDTH characters of a line."""
    return line if len(line) <= WIDTH else line[: WIDTH - 20] + f"…({len(line)} characters)"


def parts(body):
    """The members of a request, those of the tables of names and values one by one."""
    for name, value in body.items():
        if name in TABLES_OF_PARTS and isinstance(value, dict) and value:
            for inner in value.items():
                yield name, inner[0], text(inner[1])
        else:
            yield name, None, text(value)


def brief(body, shared):
    """A request without what its scenario shares."""
    if not isinstance(body, dict):
        return clip(repr(body) if isinstance(body, bytes) else text(body))
    left = [each for each in parts(body) if each not in shared]
    return clip(", ".join(f"{inner or name}={value}" for name, inner, value in left))


def told(answer):
    """Type and message of an error, or the body of a success."""
    body = answer.body
    if isinstance(body, dict) and "__type" in body:
        rest = {k: v for k, v in body.items() if k not in ("__type", "message", "Message")}
        said = "message" if "message" in body else "Message" if "Message" in body else "(none)"
        return f"{body['__type'].split('#')[-1]} | {body.get(said)}" + (f" | {text(rest)}" if rest else "")
    return clip(text(body) if not isinstance(body, bytes) else repr(body))


def main(endpoint, *prefixes):
    """Runs the scenarios whose name begins with one of the prefixes."""
    sys.stdout.reconfigure(errors="backslashreplace")
    wire = Wire(endpoint)
    for name, function in SCENARIOS.items():
        if prefixes and not any(name.startswith(prefix) for prefix in prefixes):
            continue
        print(f"\n## {name}: {(function.__doc__ or '').splitlines()[0]}")
        running, answer, lines = function(), None, []
        while True:
            try:
                step = running.send(answer)
            except StopIteration:
                break
            answer = None
            if isinstance(step, Step):
                answer = wire.call(step.operation, step.body, step.headers)
            lines.append((step, answer))
        counts = Counter(part for step, answer in lines if answer and isinstance(step.body, dict) for part in parts(step.body))
        shared = {part for part, count in counts.items() if count > 5 and count * 3 > len(lines) or part[0] == "TableName"}
        shared |= {part for part, count in counts.items() if part[0] in TABLES_OF_PARTS and count > 5}
        print("every request: " + ", ".join(f"{inner or member}={value}" for member, inner,
            value in sorted(shared, key=str) if member != "TableName"))
        for step, answer in lines:
            if answer is None:
                print(f"  = {step.label}: {clip(repr(step.value))}")
            elif step.operation != "DeleteTable" or answer.status != 200:
                print(f"{step.operation} | {step.note or brief(step.body, shared)} | {answer.status} | {told(answer)}")


if __name__ == "__main__":
    main(*sys.argv[1:])

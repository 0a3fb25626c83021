"""Runs every scenario on two servers at once and judges each pair of answers."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest

from . import cases  # noqa: F401  (registers the scenarios)
from .compare import differences, normal
from .scenario import SCENARIOS, Derived, Step
from .wire import Wire


@dataclass
class Outcome:
    """The figures of a run."""

    sent: int = 0
    equal: int = 0
    accepted: Counter = field(default_factory=Counter)
    accepted_requests: int = 0
    unexplained: list = field(default_factory=list)

    @property
    def compared(self):
        """All pairs that were judged."""
        return self.equal + self.accepted_requests + len(self.unexplained)


def play(function, wire):
    """All steps of a scenario with the answers one server gave."""
    running, answer, played = function(), None, []
    while True:
        try:
            step = running.send(answer)
        except StopIteration:
            return played
        except Exception as error:  # a scenario may fail to find what it expects in a wrong answer
            played.append((Derived("the scenario went on", f"{type(error).__name__}: {error}"), None))
            return played
        if isinstance(step, Step):
            try:
                answer = wire.call(step.operation, step.body, step.headers)
            except OSError as error:
                played.append((Derived(f"{step.operation} was answered", f"{type(error).__name__}: {error}"), None))
                return played
            played.append((step, answer))
        else:
            played.append((step, None))
            answer = None


def judge(ours, theirs, accepted):
    """None where two (step, answer) pairs are equal, a list of accepted names, or a list of differences."""
    if ours is None or theirs is None:
        return None, [f"only {'theirs' if ours is None else 'ours'} came this far"]
    (step, answer), (their_step, their_answer) = ours, theirs
    if isinstance(step, Derived) or isinstance(their_step, Derived):
        one = {step.label: step.value} if isinstance(step, Derived) else "a request"
        other = {their_step.label: their_step.value} if isinstance(their_step, Derived) else "a request"
        return (None, None) if one == other else (None, list(differences(one, other)))
    mine, reference = normal(step, answer), normal(their_step, their_answer)
    names = []
    for difference in accepted:
        if mine == reference:
            break
        rewritten = difference.apply(step, mine, reference)
        if rewritten is not None:
            names.append(difference.name)
            reference = rewritten
    if mine == reference:
        return (names or None), None
    after = [f"what is left after {', '.join(names)}:"] if names else []
    return None, after + list(differences(mine, reference))


def run(ours, theirs, accepted, prefixes=(), report=print):
    """Plays all scenarios whose name begins with one of `prefixes` on the endpoints `ours` and `theirs`."""
    outcome = Outcome()
    wires = Wire(ours), Wire(theirs)
    with ThreadPoolExecutor(2) as pool:
        for name, function in SCENARIOS.items():
            if prefixes and not name.startswith(tuple(prefixes)):
                continue
            one, other = pool.map(lambda wire: play(function, wire), wires)
            for mine, reference in zip_longest(one, other):
                if (mine or reference)[1] is not None:
                    outcome.sent += 1
                names, found = judge(mine, reference, accepted)
                if found:
                    outcome.unexplained.append((name, (mine or reference)[0], found))
                    report(describe(*outcome.unexplained[-1]))
                elif names:
                    outcome.accepted_requests += 1
                    outcome.accepted.update(names)
                else:
                    outcome.equal += 1
    for wire in wires:
        wire.close()
    return outcome


def describe(name, step, found):
    """An unexplained difference: the request and where the answers part."""
    if isinstance(step, Step):
        body = step.body if isinstance(step.body, bytes) else json.dumps(step.body, ensure_ascii=True)
        request = f"{step.operation} {str(body)[:1500]}" + (f" {step.headers}" if step.headers else "")
    else:
        request = step.label
    return f"\n{name}: {request}\n" + "\n".join(f"    {line}" for line in found[:8])

"""The command line of the differential run.

    python -m differential                     Partita against DynamoDB Local, all scenarios
    python -m differential --self-check        DynamoDB Local against DynamoDB Local: everything must be equal
    python -m differential --only expressions  scenarios whose name begins so

Ends with status 1 when a difference has no name, or when a name no longer occurs.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from differential.accepted import ACCEPTED  # noqa: E402
from differential.run import run  # noqa: E402
from differential.servers import DynamoDBLocal  # noqa: E402
from partita_process import Partita  # noqa: E402


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="differential", description="Compares Partita with DynamoDB Local.")
    parser.add_argument("--ours", help="endpoint of a running Partita (one is started without it)")
    parser.add_argument("--theirs", help="endpoint of a running DynamoDB Local (one is started without it)")
    parser.add_argument("--only", action="append", default=[], help="beginning of a scenario's name; repeatable")
    parser.add_argument("--self-check", action="store_true", help="compare DynamoDB Local with itself")
    parser.add_argument("--show", type=int, default=200, help="unexplained differences to print")
    return parser.parse_args()


def main():
    """Starts what is missing, runs, and prints the figures."""
    asked = arguments()
    sys.stdout.reconfigure(errors="backslashreplace")
    with contextlib.ExitStack() as stack:
        theirs = asked.theirs or stack.enter_context(DynamoDBLocal()).endpoint
        if asked.self_check:
            ours, accepted = stack.enter_context(DynamoDBLocal()).endpoint, []
        else:
            ours, accepted = asked.ours or stack.enter_context(Partita("--in-memory")).endpoint, ACCEPTED
        began, shown = time.monotonic(), 0

        def report(text):
            nonlocal shown
            shown += 1
            if shown <= asked.show:
                print(text)

        outcome = run(ours, theirs, accepted, asked.only, report)
    print(f"\n{outcome.sent} requests sent to each side in {time.monotonic() - began:.0f} s")
    print(f"{outcome.compared} comparisons: {outcome.equal} equal, {outcome.accepted_requests} accepted, {len(outcome.unexplained)} unexplained")
    for each in accepted:
        print(f"{outcome.accepted[each.name]:7} {each.name}: {each.reason}")
    stale = [] if asked.only else [each.name for each in accepted if not outcome.accepted[each.name]]
    if stale:
        print("accepted differences that no longer occur: " + ", ".join(stale))
    sys.exit(1 if outcome.unexplained or stale else 0)


main()

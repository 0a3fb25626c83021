"""    python -m cluster [--seconds 60] [--clients 12] [--seed 1] [--no-kills]

Three `fdbserver` processes with double redundancy, three nodes. Every few seconds one of the six is killed with -9 and
started again. Says what was done and what was found; the exit status is 1 when a history is not one that could have been.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import foundationdb
from foundationdb import Cluster, client_environment
from partita_process import Partita

from .check import check
from .clients import Clients

NODES = 3


def node(cluster, directory):
    """One node: its own port, the cluster's data."""
    return Partita(
        environment={
            **client_environment(),
            "PARTITA_ENGINE": "fdb",
            "PARTITA_CLUSTER_FILE": str(cluster.cluster_file),
            "PARTITA_ENCRYPTION": "on",
            "PARTITA_KEYRING": str(directory / "keyring"),
            "PARTITA_LOG_LEVEL": "warn",
        }
    )


class Killer(threading.Thread):
    """Kills one process after the other, and starts each again before the next."""

    def __init__(self, cluster, nodes, stop, choice):
        super().__init__(daemon=True)
        self.cluster, self.nodes, self.stop, self.choice = cluster, nodes, stop, choice
        self.killed = {"fdbserver": 0, "node": 0}
        self.failure = None

    def run(self):
        try:
            while not self.stop.wait(self.choice.uniform(2, 5)):
                if self.choice.random() < 0.5:
                    number = self.choice.randrange(len(self.cluster.ports))
                    self.cluster.kill(number)
                    self.killed["fdbserver"] += 1
                    self.stop.wait(self.choice.uniform(0.5, 4))
                    self.cluster.start_process(number)
                else:
                    victim = self.choice.choice(self.nodes)
                    victim.kill()
                    self.killed["node"] += 1
                    self.stop.wait(self.choice.uniform(0, 2))
                    victim.start()
        except BaseException as error:  # noqa: BLE001  (told at the end)
            self.failure = error


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--clients", type=int, default=12)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-kills", action="store_true")
    options = options.parse_args()
    why = foundationdb.missing()
    if why:
        print(f"skipped: {why}")
        return 0
    choice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="partita-cluster-") as directory, Cluster(3) as cluster:
        nodes = [node(cluster, Path(directory)) for _ in range(NODES)]
        try:
            # The first makes the keyring and the database's own records; the others find them.
            for each in nodes:
                each.start()
            stop = threading.Event()
            clients = Clients([each.endpoint for each in nodes], options.clients, choice.randrange(1 << 30), stop)
            clients.prepare()
            killer = Killer(cluster, nodes, stop, random.Random(options.seed + 1))
            began = time.monotonic()
            clients.start()
            if not options.no_kills:
                killer.start()
            time.sleep(options.seconds)
            stop.set()
            if not options.no_kills:
                killer.join(60)
            clients.join()
            for number, process in enumerate(cluster.processes):
                if process.poll() is not None:
                    cluster.start_process(number)
            for each in nodes:
                if each.process.poll() is not None:
                    each.start()
            print(f"{time.monotonic() - began:.0f} s, killed: {killer.killed}; {clients.summary()}")
            found = check(clients)
            if killer.failure:
                found.append(f"a process did not start again: {killer.failure!r}")
            for line in found:
                print(f"WRONG: {line}")
            if found:
                for each in nodes:
                    print(each.output()[-3000:])
            else:
                print("every history is one that could have been: nothing lost, nothing twice, streams whole, indexes equal")
            return 1 if found else 0
        finally:
            for each in nodes:
                if each.process and each.process.poll() is None:
                    each.kill()


if __name__ == "__main__":
    sys.exit(main())

"""A real FoundationDB cluster of local processes, for tests: started, killed and started again.

`fdbserver`, `fdbcli` and the client's library are looked for where PARTITA_FDB_SERVER, PARTITA_FDB_CLI and
FDB_CLIENT_LIB_PATH say, then on PATH and in the places where FoundationDB's packages put them.

    python foundationdb.py [-n 3] -- command …     runs a command with PARTITA_FDB_CLUSTER_FILE set; says so and does
                                                   nothing where FoundationDB is not installed
    python foundationdb.py --missing               only says what is missing; the exit status is 1 then
"""

import ctypes.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from differential.servers import free_port

START_SECONDS = 60


def find(name, variable):
    """The program of this name, or None."""
    named = os.environ.get(variable)
    if named:
        return named if os.access(named, os.X_OK) else None
    return shutil.which(name) or next((path for path in (f"/usr/sbin/{name}", f"/usr/bin/{name}") if os.access(path, os.X_OK)), None)


def missing():
    """Why there can be no cluster here; None when there can be one."""
    if not find("fdbserver", "PARTITA_FDB_SERVER"):
        return "there is no fdbserver (PARTITA_FDB_SERVER or PATH)"
    if not find("fdbcli", "PARTITA_FDB_CLI"):
        return "there is no fdbcli (PARTITA_FDB_CLI or PATH)"
    directory = os.environ.get("FDB_CLIENT_LIB_PATH")
    if directory and (Path(directory) / "libfdb_c.so").exists():
        return None
    if not ctypes.util.find_library("fdb_c"):
        return "there is no libfdb_c (FDB_CLIENT_LIB_PATH or the system's libraries)"
    return None


class Cluster:
    """Some fdbserver processes on this machine, each with a directory of its own."""

    def __init__(self, processes=1, redundancy=None, storage="ssd", directory=None):
        self.redundancy = redundancy or ("double" if processes >= 3 else "single")
        self.storage = storage
        self.directory = Path(directory or tempfile.mkdtemp(prefix="partita-fdb-"))
        self.ports = [free_port() for _ in range(processes)]
        self.processes = [None] * processes
        self.cluster_file = self.directory / "fdb.cluster"

    def start(self):
        """Starts every process, and makes a database of them."""
        coordinators = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.cluster_file.write_text(f"test:test@{coordinators}\n")
        for number in range(len(self.ports)):
            self.start_process(number)
        self.cli(f"configure new {self.redundancy} {self.storage}")
        return self

    def start_process(self, number):
        """Starts one process, or starts it again on what it left."""
        home = self.directory / str(number)
        home.mkdir(exist_ok=True)
        # A file of its own, because processes rewrite it.
        own_file = home / "fdb.cluster"
        if not own_file.exists():
            shutil.copy(self.cluster_file, own_file)
        address = f"127.0.0.1:{self.ports[number]}"
        command = [
            find("fdbserver", "PARTITA_FDB_SERVER"), "-C", str(own_file), "-p", address, "-l", address, "-d", str(home), "-L", str(home),
            "--locality-machineid", f"m{number}", "--locality-zoneid", f"z{number}", "-m", "4GiB", "--cache-memory", "200MiB",
        ]
        log = open(home / "output", "ab")
        self.processes[number] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=dies_with_parent)

    def cli(self, command, seconds=START_SECONDS):
        """What fdbcli answers; tried until the cluster has answered."""
        deadline = time.monotonic() + seconds
        while True:
            done = subprocess.run(
                [find("fdbcli", "PARTITA_FDB_CLI"), "-C", str(self.cluster_file), "--timeout", "20", "--exec", command],
                capture_output=True, text=True, check=False,
            )
            # An answer that came too late for the first try has made the database all the same.
            if (done.returncode == 0 and "ERROR" not in done.stdout) or "Database already exists" in done.stdout:
                return done.stdout
            if time.monotonic() > deadline:
                raise RuntimeError(f"fdbcli {command}: {done.stdout}{done.stderr}")
            time.sleep(0.5)

    def kill(self, number):
        """kill -9 of one process."""
        self.processes[number].send_signal(signal.SIGKILL)
        self.processes[number].wait(30)

    def stop(self):
        """Ends all processes and removes their data."""
        for process in self.processes:
            if process and process.poll() is None:
                process.kill()
                process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def dies_with_parent():
    """In the child: a test run that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def client_environment():
    """What programs need to find the client's library."""
    directory = os.environ.get("FDB_CLIENT_LIB_PATH")
    paths = [path for path in (directory, os.environ.get("LD_LIBRARY_PATH")) if path]
    return {"LD_LIBRARY_PATH": ":".join(paths)} if paths else {}


def main(arguments):
    if arguments == ["--missing"]:
        why = missing()
        if why:
            print(f"skipped on FoundationDB: {why}")
        return 1 if why else 0
    processes = 1
    if arguments[:1] == ["-n"]:
        processes, arguments = int(arguments[1]), arguments[2:]
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    why = missing()
    if why:
        print(f"skipped on FoundationDB: {why}")
        return 0
    with Cluster(processes) as cluster:
        environment = {**os.environ, **client_environment(), "PARTITA_FDB_CLUSTER_FILE": str(cluster.cluster_file)}
        return subprocess.run(arguments, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

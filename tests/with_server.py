"""Runs a command against a fresh server in memory: `with_server.py -- command …` sets PARTITA_TEST_ENDPOINT for it, and
PARTITA_TEST_DAX for clients of DAX."""

import os
import subprocess
import sys

from differential.servers import free_port
from partita_process import Partita

if __name__ == "__main__":
    dax = f"dax://127.0.0.1:{free_port()}"
    with Partita("--in-memory", "--dax-listen", dax) as server:
        environment = {**os.environ, "PARTITA_TEST_ENDPOINT": server.endpoint, "PARTITA_TEST_DAX": dax}
        ended = subprocess.run(sys.argv[sys.argv.index("--") + 1 :], env=environment, check=False)
    sys.exit(ended.returncode)

"""Runs a command against a fresh server in memory: `with_server.py -- command …` sets PARTITA_TEST_ENDPOINT for it."""

import os
import subprocess
import sys

from partita_process import Partita

if __name__ == "__main__":
    with Partita("--in-memory") as server:
        ended = subprocess.run(sys.argv[sys.argv.index("--") + 1 :], env={**os.environ, "PARTITA_TEST_ENDPOINT": server.endpoint},
            check=False)
    sys.exit(ended.returncode)

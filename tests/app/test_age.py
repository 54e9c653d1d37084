"""The age of the process counts waiting, not only computing."""

import subprocess
import sys


def test_waiting_counts() -> None:
    code = (
        "from metawright.app.age import process_age; import time; "
        "time.sleep(0.3); print(process_age())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.3 <= float(done.stdout) < 10

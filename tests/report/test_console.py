"""What ``make execute`` says: one line a page and run, and nothing of the libraries that it uses."""

import re
import subprocess
import sys

import pytest
from commands import Checkout

KINDS = (
    r"not as usual: .+; such pages are in \S+, those of before stay",
    r"\d+ runs to compute, about .+",
    r"page \d+/\d+  \w+: (\d+ runs to compute|done in .+|up to date)",
    r"  run \d+/\d+  .+",
    r"  [\w-]+: .+",
    r"building the book",
    r"/\S+",
)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_line_is_of_a_page_or_a_run_and_nothing_complains(tmp_path, jobs):
    running = Checkout.at(tmp_path / "root").start(tmp_path / "store", jobs)
    assert running.wait() == 0, running.errors
    assert running.errors == ""
    assert [line for line in running.lines if not any(re.fullmatch(kind, line) for kind in KINDS)] == []
    said = "\n".join(running.lines)
    assert said.count("page 1/1  01_facts: ") == 2
    runs = re.findall(r"^  run (\d+)/(\d+)  ", said, re.MULTILINE)
    assert [int(number) for number, _ in runs] == list(range(1, int(runs[0][1]) + 1))


def test_a_missing_optional_kernel_is_not_worth_a_line():
    """What bitsandbytes says on processors with bfloat16, as soon as it is imported."""
    program = "import mechlib, logging; logging.getLogger('bitsandbytes.backends.cpu.ops').warning('Failed to load CPU gemm_4bit_forward')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""

"""No tracked file holds a token, somebody's home folder or the name of a host that a page does not link to."""

import re
import subprocess
from pathlib import Path

import pytest

import mechlib

ROOT = Path(mechlib.__file__).parents[1]
PRIVATE = {
    "token": r"\b(?:hf_|gh[pousr]_|sk-|pypi-)[A-Za-z0-9_-]{20,}|\bAKIA[0-9A-Z]{16}\b",
    "key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "password in an address": r"://[^\s/:@\"'`{}<>$]+:[^\s/@\"'`{}<>$]+@",
    "home folder": r"(?<![\w.])/(?:home|Users)/[a-z][\w.-]*/|(?<![\w.])/root/|[A-Z]:\\\\?Users\\",
    "folder of a workplace": r"(?<![\w./])/work/",
    "index of packages": r"--(?:extra-)?index-url|--find-links|--trusted-host|simple/ ",
    "host in a private network": r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b|\.(?:internal|corp|lan)\b(?=[:/\s])",
}  # fmt: skip


def private(text):
    """What kinds of private things a text holds, each with its first example."""
    return {kind: found[0] for kind, pattern in PRIVATE.items() if (found := re.search(pattern, text))}


# Tests that look for such things name them.
SEEKERS = {"tests/house/test_nothing_private.py", "tests/report/test_pages.py"}


@pytest.mark.parametrize(("kind", "text"), [
    ("token", "HF_TOKEN=hf_" + "a1" * 17),
    ("key", "-----BEGIN RSA PRIVATE KEY-----"),
    ("password in an address", "https://me:secret@example.org/"),
    ("home folder", '"/home/somebody/model"'),
    ("home folder", "File /root/x.py"),
    ("folder of a workplace", "cd /work/main"),
    ("index of packages", "pip install --index-url x"),
    ("host in a private network", "http://10.0.3.4:8000"),
])  # fmt: skip
def test_private_things_are_seen(kind, text):
    assert set(private(text)) == {kind}


@pytest.mark.parametrize("text", ["a home/ folder", "http://localhost:8000/book", "HF_TOKEN", "network/base", "0.10.5", "runs/work/x"])
def test_others_are_not(text):
    assert private(text) == {}


def test_no_tracked_file_holds_any():
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    files = [name for name in tracked if (ROOT / name).is_file() and not name.endswith(".gz") and name not in SEEKERS]
    texts = {name: (ROOT / name).read_text(errors="replace") for name in files}
    assert len(texts) > 100
    assert {name: found for name, text in texts.items() if (found := private(text))} == {}

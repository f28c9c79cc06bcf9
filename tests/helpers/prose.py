"""What prose of pages may not say by itself: counts and places of what a profile decides."""

import re

_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|sixteen|twenty|fifty"
_RUN = ("ways|formats|prompts|sets|halves|seeds|localizations|methods|arms|attacks|settings|steps|schemes|kinds|edits|trials|checkpoints|"
        "facts|athletes")  # fmt: skip
# What a profile or a parameter decides: a number of the page, or a sentence that knows what was run, says it.
COUNTED = re.compile(rf"\b(?:{_NUMBERS}|[0-9]+)\s+(?:[a-z]+\s+)?(?:{_RUN})\b", re.IGNORECASE)
EVERY = re.compile(r"\b(?:each half|both halves|each forget set|every localization|every attack|all (?:formats|attacks|localizations)|"
                   r"the same (?:trials|number of steps))\b", re.IGNORECASE)  # fmt: skip
_LATER, _EARLIER = re.compile(r"\b(?:below|next figure|following (?:figure|table))\b", re.I), re.compile(r"\b(?:above|last table)\b", re.I)
# "below 90 %", "above chance": no place on a page.
_MEASURE = re.compile(r"\b(?:below|above)\s+(?:\{glue|[0-9.]+|chance|guessing|zero|one\b|its?\b|that\b|the (?:mean|layers)|all layers|fact|"
                      r"an edit|both)", re.I)  # fmt: skip
_ABOUT_PAPER = re.compile(r"\b(?:paper|authors|released|Gemma-|Llama-)", re.I)


def sentences(text):
    """The sentences of Markdown, without its code, links and roles."""
    plain = re.sub(r"```.*?```|\{cite:p\}`[^`]*`", "", text, flags=re.DOTALL)
    return [" ".join(one.split()) for one in re.split(r"(?<=[.:!?*])\s+(?=[A-Z*{>#-])|\n\n", plain) if one.strip()]


def prose(notebook):
    """Each Markdown cell with its number."""
    return [(number, "".join(cell["source"])) for number, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "markdown"]


def unconditional(notebook):
    """Sentences that count, or speak of all, what a profile decides; those about the paper are its own."""
    return [one for _, text in prose(notebook) for one in sentences(text)
            if (COUNTED.search(one) or EVERY.search(one)) and not _ABOUT_PAPER.search(one)]  # fmt: skip


def drawn(cell):
    """Whether a cell of an executed page shows a figure or a table."""
    return cell["cell_type"] == "code" and any("text/html" in output.get("data", {}) for output in cell["outputs"])


def misplaced(notebook):
    """Sentences of an executed page that point at a figure or a table which is not there."""
    found = []
    for number, text in prose(notebook):
        before, after = notebook["cells"][:number], notebook["cells"][number + 1 :]
        for one in sentences(_MEASURE.sub("", text)):
            missing = (_LATER.search(one) and not any(map(drawn, after))) or (_EARLIER.search(one) and not any(map(drawn, before)))
            found += [one] if missing else []
    return found


def empty_sections(notebook):
    """Headings of an executed page with nothing under them, neither text, nor figure, nor a part of their own."""
    items = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for block in "".join(cell["source"]).split("\n"):
                heading = re.match(r"(#+) (.*)", block)
                items += [(len(heading[1]), heading[2])] if heading else [(0, "text")] if block.strip() else []
        elif drawn(cell):
            items.append((0, "figure"))
    following = [*items[1:], (1, "end")]
    return [title for (depth, title), (after, _) in zip(items, following, strict=True) if depth and 0 < after <= depth]

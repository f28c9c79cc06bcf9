"""The two mechanisms that the paper tells apart, as a picture drawn for this book: in the page, so that it takes the page's colours."""

from __future__ import annotations

from pathlib import Path

from mechlib.report import markup

_PICTURE = Path(__file__).parent / "looks" / "mechanism.svg"
CAPTION = (
    "How a model answers, as the paper has it. Each vertical line is the residual stream at one token. Early MLPs look the fact up at the "
    "subject and write what is known of it into the stream; attention carries it to the end of the prompt; late components read it out. "
    "Fact lookup edits the blue place. Output tracing scores components by the answer, and so it also finds the orange one."
)


def mechanism(number: int) -> str:
    """The picture with its number and caption, as HTML."""
    name = f'<a class="mech-number" href="#fig-mechanism">Figure {number}.</a>'
    return (f'<figure id="fig-mechanism" style="margin:1em 0">{_PICTURE.read_text(encoding="utf-8")}'
            f"<figcaption>{name} {markup.text(CAPTION)}</figcaption></figure>")  # fmt: skip

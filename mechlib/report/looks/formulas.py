"""Formulas as MathML, which browsers draw by themselves: no script, and nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml


def setup(app: Any) -> None:
    """Make it the renderer of formulas, in lines and as blocks."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.config.html_math_renderer = "mathml"


def mathml(formula: str, block: bool = False) -> str:
    """A formula of LaTeX as MathML; raises ``docutils.utils.math.MathError`` for what is none."""
    return str(latex2mathml.tex2mathml(formula, as_block=block))


def _inline(writer: Any, node: Any) -> None:
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: Any) -> None:
    writer.body.append(writer.starttag(node, "div", CLASS="math notranslate nohighlight"))
    writer.body.append(mathml(node.astext(), block=True) + "</div>\n")
    raise nodes.SkipNode

"""Questions to a page in a browser: what of it can hardly be seen on its ground."""

_CONTRAST = """
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = text => parts(text).slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, number) => sum + part * [0.2126, 0.7152, 0.0722][number], 0);
    const ground = each => {
        for (; each; each = each.parentElement) {
            const colour = getComputedStyle(each).backgroundColor;
            if ((parts(colour)[3] ?? 1) > 0.5) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const contrast = (colour, each) => {
        const two = [light(colour), light(ground(each))].sort((one, other) => other - one);
        return (two[0] + 0.05) / (two[1] + 0.05);
    };
"""
# Cells of tables, and the text beside them, that can hardly be read on their ground: the contrast is below 4.5.
DIM = f"""(() => {{{_CONTRAST}
    const dim = each => contrast(getComputedStyle(each).color, each) < 4.5;
    return [...document.querySelectorAll("article :is(td, th, p, summary, figcaption)")]
        .filter(each => each.innerText?.trim() && dim(each)).map(each => each.innerText.slice(0, 30)).slice(0, 5);
}})()"""
# Marks of figures, also in their legends, of which neither the inside nor the line is seen: the contrast is not above 2.
FAINT = f"""(() => {{{_CONTRAST}
    // Of a pattern counts what is drawn in it.
    const within = name => [...document.querySelectorAll(`[id="${{name}}"] *`)].map(each => getComputedStyle(each));
    const drawn = (look, part) => !look[part].startsWith("url(") ? [look[part]]
        : within(look[part].match(/#([^")]+)/)[1]).flatMap(one => [one.fill, one.stroke]);
    const seen = (each, look, part) => Number(look[`${{part}}-opacity`]) > 0.5
        && drawn(look, part).some(colour => colour !== "none" && contrast(colour, each) > 2);
    // Crosses and strokes have a colour for their inside, and no inside.
    const thin = each => /^(M[^A-Z]+[LHV][^A-Z]+)+Z?$/.test(each.getAttribute("d"));
    const faint = each => !["fill", "stroke"].filter(part => part === "stroke" || !thin(each))
        .some(part => seen(each, getComputedStyle(each), part));
    const looks = [...document.querySelectorAll(".main-svg :is(.points, .legendpoints) path")].filter(faint)
        .map(each => each.getAttribute("style"));
    return [...new Set(looks)].slice(0, 5);
}})()"""

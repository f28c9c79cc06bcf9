// The page "Play": one select for each thing that cells differ by, a slider for the step, a bar with its interval for each arm.
(() => {
    const place = document.getElementById("play"), {studies, colours} = JSON.parse(document.getElementById("play-data").textContent);
    if (!studies.length) { place.textContent = "No rows are kept with this book yet: make keep keeps them."; return; }
    const named = (tag, more, parent) => parent.appendChild(Object.assign(document.createElement(tag), more));
    const chosen = {}, ORDER = ["attack", "setting", "step", "format", "group", "outcome"], WIDE = 640, HIGH = 30, LEFT = 170;
    const controls = named("div", {className: "play-controls", style: "display:flex;flex-wrap:wrap;gap:.8em;margin-bottom:1em"}, place);
    const drawing = named("div", {}, place), said = named("p", {}, place);
    said.setAttribute("aria-live", "polite");

    // What can still be chosen of a name, once all names before it are.
    const cells = until => studies[chosen.study].cells.filter(cell => ORDER.slice(0, ORDER.indexOf(until)).every(name => cell[name] === chosen[name]));
    const values = name => name === "outcome" ? ["true answer", "new answer"] : [...new Set(cells(name).map(cell => cell[name]))];

    function control(name, options) {
        const box = named("label", {textContent: name + " ", style: "display:flex;flex-direction:column;max-width:min(100%, 100vw - 3em)"}, controls);
        if (name === "step" && options.length > 1) {
            const slider = named("input", {type: "range", min: 0, max: options.length - 1, value: options.indexOf(chosen.step)}, box);
            slider.name = name;
            box.firstChild.textContent = "step " + chosen.step;
            slider.onchange = () => { chosen.step = options[slider.value]; show(); };
            return;
        }
        const select = named("select", {name, disabled: options.length < 2, style: "max-width:100%"}, box);
        options.forEach((option, number) => named("option", {textContent: option, value: number}, select));
        select.selectedIndex = name === "study" ? chosen.study : options.indexOf(chosen[name]);
        select.onchange = () => { chosen[name] = name === "study" ? select.selectedIndex : options[select.selectedIndex]; show(); };
    }

    function draw(found) {
        const rank = cell => ["Unedited", "Fact lookup"].indexOf(cell.arm) + 1 || 3, arms = found.sort((one, other) => rank(one) - rank(other));
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), add = (tag, about, text) => {
            const each = svg.appendChild(document.createElementNS(svg.namespaceURI, tag));
            Object.entries(about).forEach(([key, value]) => each.setAttribute(key, value));
            if (text !== undefined) each.textContent = text;
        };
        svg.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH * arms.length + 24}`);
        svg.setAttribute("style", "width:100%;max-width:800px");
        svg.setAttribute("role", "img");
        svg.setAttribute("aria-label", arms.map(cell => `${cell.arm}: ${cell.shares[chosen.outcome][0].toFixed(2)}`).join("; "));
        const at = share => LEFT + share * (WIDE - LEFT - 60);
        arms.forEach((cell, number) => {
            const [share, low, high] = cell.shares[chosen.outcome], y = number * HIGH;
            const fill = colours[cell.arm] || "#a8a8a8";
            add("text", {x: LEFT - 8, y: y + 20, "text-anchor": "end", fill: "currentColor", "font-size": 14}, cell.arm);
            add("rect", {x: at(0), y: y + 5, width: Math.max(1, at(share) - at(0)), height: HIGH - 10, fill});
            add("line", {x1: at(low), x2: at(high), y1: y + HIGH / 2, y2: y + HIGH / 2, stroke: "currentColor", "stroke-width": 2});
            add("text", {x: at(Math.max(share, high)) + 6, y: y + 20, fill: "currentColor", "font-size": 13}, share.toFixed(2));
        });
        for (const tick of [0, .5, 1])
            add("text", {x: at(tick), y: HIGH * arms.length + 18, "text-anchor": "middle", fill: "currentColor", "font-size": 12}, tick);
        drawing.replaceChildren(svg);
    }

    function show() {
        controls.replaceChildren();
        control("study", studies.map(study => study.name));
        for (const name of ORDER) {
            const options = values(name);
            if (name === "step") options.sort((one, other) => one - other);
            if (!options.includes(chosen[name])) chosen[name] = name === "step" || name === "setting" ? options.at(-1) : options[0];
            control(name, options);
        }
        const found = cells("outcome");
        draw(found);
        const counts = found.map(cell => cell.n), least = Math.min(...counts), most = Math.max(...counts);
        said.textContent = `Share with the ${chosen.outcome} (${chosen.group}), with 95\u00a0% intervals; ` +
            `${least === most ? most : `${least} to ${most}`} facts a bar.`;
    }
    chosen.study = 0;
    show();
})();

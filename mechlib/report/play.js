// The page "Play": a select for each thing that cells differ by, a slider for the step of an attack, a bar with its interval for each arm.
(() => {
    const place = document.getElementById("play"), about = JSON.parse(document.getElementById("play-data").textContent);
    const {studies, names, kinds, always, outcomes, trained, colours} = about;
    if (!studies.length) { place.textContent = "No rows are kept with this book yet: make keep keeps them."; return; }
    const ALL = "all of them", BY = ["attack", "setting", "step", "format", "group", "arm"], CHOSEN = BY.slice(0, -1);
    // A cell is the places of its names, how many facts, and for each outcome its share, and where its interval begins and ends.
    const unpacked = line => ({
        ...Object.fromEntries(BY.map((name, at) => [name, names[name][line[at]]])), kind: kinds[line[BY.length - 1]], n: line[BY.length],
        shares: Object.fromEntries(outcomes.map((name, at) => [name, line.slice(BY.length + 1 + 3 * at, BY.length + 4 + 3 * at)])),
    });
    studies.forEach(study => { study.cells = study.cells.map(unpacked); });

    const named = (tag, more, parent) => parent.appendChild(Object.assign(document.createElement(tag), more));
    const controls = named("div", {className: "play-controls", style: "display:flex;flex-wrap:wrap;gap:.8em;margin-bottom:1em"}, place);
    const drawing = named("div", {}, place), said = named("p", {}, place), chosen = {study: studies[0].name};
    said.setAttribute("aria-live", "polite");

    // What can still be chosen of a name, once all names before it are.
    const before = until => CHOSEN.includes(until) ? CHOSEN.slice(0, CHOSEN.indexOf(until)) : CHOSEN;
    const cells = until => studies.find(study => study.name === chosen.study).cells
        .filter(cell => before(until).every(name => cell[name] === chosen[name]));
    const values = {
        study: () => studies.map(study => study.name), outcome: () => outcomes,
        step: () => [...new Set(cells("step").map(cell => cell.step))].sort((one, other) => one - other),
        arms: () => {
            const found = [...new Set(cells("arms").filter(cell => !always.includes(cell.arm)).map(cell => cell.kind))];
            return found.length > 1 ? [...found, ALL] : [ALL];
        },
    };
    const options = name => values[name]?.() ?? [...new Set(cells(name).map(cell => cell[name]))];
    // What shows most: relearning, the setting that most arms were attacked with, at its end; a prompt that was not trained.
    const first = {
        attack: found => found.find(one => one === "Relearning"), step: found => found.at(-1),
        format: found => found.find(one => !one.endsWith(trained)),
        setting: found => found.map(one => [one, cells("setting").filter(cell => cell.setting === one).length])
            .sort((one, other) => other[1] - one[1])[0][0],
    };

    // Controls stay as they are, so that the keyboard stays where it is and a slider can be drawn.
    const LIST = ["study", ...CHOSEN, "outcome", "arms"], fields = Object.fromEntries(LIST.map(name => {
        const box = named("label", {style: "display:flex;flex-direction:column;max-width:min(100%, 100vw - 3em)"}, controls);
        const text = named("span", {textContent: name}, box), range = name === "step";
        const input = named(range ? "input" : "select", {name, style: "max-width:100%", ...(range ? {type: "range", min: 0} : {})}, box);
        input.addEventListener(range ? "input" : "change", () => { chosen[name] = fields[name].found[Number(input.value)]; show(); });
        return [name, {box, text, input, found: []}];
    }));
    function fill(name, found) {
        const {box, text, input} = fields[name];
        if (name === "step") {
            // An attack without steps has no slider.
            box.style.display = found.length < 2 ? "none" : "flex";
            input.max = found.length - 1;
            text.textContent = chosen.step ? `step ${chosen.step} of ${found.at(-1)}` : "step 0, before the attack";
            input.setAttribute("aria-valuetext", text.textContent);
        } else if (found.join("\n") !== fields[name].found.join("\n")) {
            input.replaceChildren();
            found.forEach((option, value) => named("option", {textContent: option, value}, input));
        }
        fields[name].found = found;
        input.disabled = found.length < 2;
        input.value = found.indexOf(chosen[name]);
    }

    function draw(arms) {
        const wide = Math.min(800, place.clientWidth || 640), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        const add = (tag, more, text) => {
            const each = svg.appendChild(document.createElementNS(svg.namespaceURI, tag));
            Object.entries(more).forEach(([key, value]) => each.setAttribute(key, value));
            if (text !== undefined) each.textContent = text;
            return each;
        };
        const written = {fill: "currentColor", "font-size": 14};
        svg.setAttribute("role", "img");
        svg.setAttribute("aria-label", arms.map(cell => `${cell.arm}: ${cell.shares[chosen.outcome][0].toFixed(2)}`).join("; "));
        drawing.replaceChildren(svg);
        const labels = arms.map(cell => add("text", written, cell.arm));
        // Beside the bars as much room as the longest name needs; where that is too much, names stand above their bars.
        const longest = Math.max(...labels.map(each => each.getBBox().width)), above = longest > .4 * wide;
        const left = above ? 4 : Math.ceil(longest) + 10, high = above ? 46 : 30, at = share => left + share * (wide - left - 50);
        svg.setAttribute("viewBox", `0 0 ${wide} ${high * arms.length + 24}`);
        svg.setAttribute("style", `display:block;width:${wide}px;max-width:100%`);
        arms.forEach((cell, number) => {
            const [share, low, high_] = cell.shares[chosen.outcome], y = number * high + high - 30;
            labels[number].setAttribute("x", above ? left : left - 8);
            labels[number].setAttribute("y", above ? y : y + 20);
            labels[number].setAttribute("text-anchor", above ? "start" : "end");
            add("rect", {x: at(0), y: y + 5, width: Math.max(1, at(share) - at(0)), height: 20, fill: colours[cell.arm] || "#a8a8a8"});
            add("line", {x1: at(low), x2: at(high_), y1: y + 15, y2: y + 15, stroke: "currentColor", "stroke-width": 2});
            add("text", {...written, x: at(Math.max(share, high_)) + 6, y: y + 20}, share.toFixed(2));
        });
        for (const tick of [0, .5, 1]) add("text", {...written, x: at(tick), y: high * arms.length + 18, "text-anchor": "middle"}, tick);
    }

    function show() {
        for (const name of LIST) {
            const found = options(name);
            if (!found.includes(chosen[name])) chosen[name] = first[name]?.(found) ?? found[0];
            fill(name, found);
        }
        const found = cells("arms").filter(cell => chosen.arms === ALL || cell.kind === chosen.arms || always.includes(cell.arm));
        draw(found);
        const counts = found.map(cell => cell.n), least = Math.min(...counts), most = Math.max(...counts);
        said.textContent = `Share with the ${chosen.outcome} (${chosen.group}), with 95\u00a0% intervals; ` +
            `${least === most ? most : `${least} to ${most}`} facts a bar.`;
    }
    show();
    window.addEventListener("resize", show);
})();

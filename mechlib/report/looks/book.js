// Draws the figures of a page, and draws them anew where the window becomes narrow or wide; marks quick pages. Loaded after plotly.min.js.
(() => {
  // Of a figure, not of the window: beside the text there may be menus.
  const NARROW = 600;
  const config = {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  const copy = (value) => JSON.parse(JSON.stringify(value));

  // Room above the panels for what stands there, and no more: their titles, if they have some.
  const snug = ({ data, layout, narrow }) => {
    const titles = (layout.annotations || []).filter(({ yref, y }) => yref === "paper" && y >= 1);
    const lines = Math.max(0, ...titles.map(({ text }) => text.split("<br>").length));
    const given = layout.margin?.t ?? layout.template?.layout?.margin?.t ?? 0, top = Math.min(given, lines ? 24 * lines : 10);
    const snugly = { ...layout, height: (layout.height ?? 450) - given + top, margin: { ...layout.margin, t: top } };
    return { data, layout: snugly, narrow: { ...narrow, height: narrow.height - given + top } };
  };

  const draw = (figure) => {
    const plot = figure.querySelector(".plotly-graph-div");
    const { data, layout, narrow } = snug(JSON.parse(figure.querySelector("script").textContent));
    const render = (small) => {
      figure.dataset.narrow = small;
      plot.style.height = "";
      return Plotly.newPlot(plot, copy(data), copy(layout), { ...config, displayModeBar: small ? false : "hover" })
        .then(() => small && Plotly.relayout(plot, copy(narrow)));
    };
    const small = () => figure.clientWidth < NARROW;
    window.addEventListener("resize", () => String(small()) !== figure.dataset.narrow && render(small()));
    // Paper is narrower than a window: a figure that was drawn for one would be cut. Where there is a still picture, that is printed.
    if (figure.parentElement.querySelector(".mech-still")) return render(small());
    window.addEventListener("beforeprint", () => Plotly.relayout(plot, { width: 640 }));
    window.addEventListener("afterprint", () => Plotly.relayout(plot, { width: null, autosize: true }));
    return render(small());
  };

  // A page of the quick profile says so wherever on it its reader is.
  const ribbon = () => {
    const about = { className: "mech-ribbon", textContent: "quick: a demonstration, not the study" };
    if (/, quick\b/.test(document.title)) document.querySelector(".bd-article")?.prepend(Object.assign(document.createElement("div"), about));
  };

  const start = () => {
    ribbon();
    document.querySelectorAll("details.mech-data").forEach((one) => { one.open = false; });
    if (!window.Plotly) return;
    const figures = [...document.querySelectorAll(".mech-plot")];
    // Figures above may have moved what the address asks for.
    Promise.all(figures.map(draw)).then(() => location.hash && document.getElementById(location.hash.slice(1))?.scrollIntoView());
  };
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();

// Comparison: the page of two sweeps side by side.

const MOST_DRAWN = 60;
const MOST_NAMED = 1000;

function nameOf(params) {
  return Object.entries(params).map(([name, value]) => levelText(value, { name })).join(", ") || "all runs";
}

function pairFigure(metric, points) {
  const drawn = points.filter((point) => point.ratio !== null).slice(0, MOST_DRAWN).reverse();
  const colours = drawn.map((point) => paletteColour(point.differs ? (point.ratio > 1 ? 5 : 0) : 6));
  return {
    data: [{
      type: "scatter", mode: "markers", x: drawn.map((point) => point.ratio), y: drawn.map((_, place) => place),
      text: drawn.map((point) => plain(nameOf(point.params))), hovertemplate: "%{text}<br>B / A %{x:.4~g}<extra></extra>",
      marker: { size: 9, color: colours, symbol: drawn.map((point) => (point.differs ? "diamond" : "circle-open")) },
      error_x: {
        type: "data", symmetric: false, array: drawn.map((point) => (point.high === null ? 0 : point.high - point.ratio)),
        arrayminus: drawn.map((point) => (point.low === null ? 0 : point.ratio - point.low)), thickness: 1.5, width: 5, color: INKS[scheme()].ink,
      },
    }],
    layout: {
      height: 120 + 28 * drawn.length, margin: { l: 60, r: 20, t: 20, b: 70 }, showlegend: false,
      xaxis: { type: "log", title: { text: `${plain(metric)}: B / A` }, automargin: true },
      yaxis: { automargin: true, range: [-0.7, drawn.length - 0.3], tickvals: drawn.map((_, place) => place), ticktext: drawn.map((point) => plain(nameOf(point.params))) },
      shapes: [{ type: "line", x0: 1, x1: 1, y0: 0, y1: 1, yref: "paper", line: { dash: "dot", width: 2, color: paletteColour(6) } }],
    },
    count: drawn.length,
  };
}

function pairTable(metric, points, percent) {
  const heads = ["point", "runs A", "mean A", "standard deviation A", "runs B", "mean B", "standard deviation B", "B / A", `${percent} % interval from`, "to", "differs"];
  const rows = points.map(({ params, a, b, ratio, low, high, differs }) =>
    [nameOf(params), a?.n ?? 0, a?.mean, a?.std, b?.n ?? 0, b?.mean, b?.std, ratio, low, high, differs ? "clearly" : low === null ? "not known" : "not clearly"]);
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${metric} by point` }, numberTable(metric, heads, rows));
}

function metricSection(metric, { ratio, points }, percent, redraw) {
  const clear = points.filter((point) => point.differs).length;
  const figure = make("div", { role: "img" });
  const { count } = pairFigure(metric, points);
  const draw = () => {
    const { data, layout } = pairFigure(metric, points);
    drawFigure(figure, data, layout);
  };
  const told = [ratio === null ? "No point has a ratio: that takes two positive means." : `Over all points B / A is ${shortNumber(Number(ratio.toPrecision(4)))} (geometric mean).`,
    `${clear} of ${counted(points.length, "point")} clearly ${clear === 1 ? "differs" : "differ"}: the ${percent} % interval leaves out 1.`];
  if (count < points.filter((point) => point.ratio !== null).length) told.push(`The first ${count} are drawn.`);
  figure.setAttribute("aria-label", `Ratios of ${metric} by point, with intervals. ${told.join(" ")} The table below has the numbers.`);
  if (count) redraw.push(draw);
  return make("section", {}, make("h2", {}, metric), make("p", {}, told.join(" ")), ...(count ? [figure] : []), pairTable(metric, points, percent));
}

function aloneSection(name, points) {
  const more = points.length > MOST_NAMED ? [make("p", { class: "note" }, `and ${points.length - MOST_NAMED} more`)] : [];
  return make("section", {}, make("h2", {}, `${counted(points.length, "point")} only in ${name}`),
    make("ul", {}, ...points.slice(0, MOST_NAMED).map((point) => make("li", { class: "value" }, nameOf(point)))), ...more);
}

function showComparison(main, content) {
  const { a, b, confidence, differing, metrics, only_a: onlyA, only_b: onlyB } = content;
  const percent = shortNumber(confidence * 100);
  const facts = [["A", a], ["B", b], ...Object.entries(differing).map(([name, each]) => [name, `${shown(each.a) || "none"} in A, ${shown(each.b) || "none"} in B`])];
  const redraw = [];
  main.append(make("dl", { class: "facts" }, ...facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", { class: "value" }, text)])),
    make("p", { class: "note" }, `A ratio is the mean of B divided by that of A, over the runs of a point that succeeded; its ${percent} % confidence interval is from the repeats (t distribution on the logarithm, degrees of freedom by Welch and Satterthwaite).`),
    ...Object.entries(metrics).map(([metric, each]) => metricSection(metric, each, percent, redraw)),
    ...(onlyA.length ? [aloneSection("A", onlyA)] : []), ...(onlyB.length ? [aloneSection("B", onlyB)] : []));
  const drawAll = () => redraw.forEach((draw) => draw());
  requestAnimationFrame(() => setTimeout(drawAll));
  darkness.addEventListener("change", drawAll);
  drawForPrint(drawAll, drawAll);
}

showComparison(document.getElementById("main"), JSON.parse(document.getElementById("content").textContent));

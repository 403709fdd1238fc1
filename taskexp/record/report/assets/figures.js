// Figures: what the chosen runs and axes look like, as figures of plotly. Only runs that succeeded are measured.

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const MARKS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon"];
const STATUS_COLOURS = {
  succeeded: "#009E73", failed: "#D55E00", timed_out: "#E69F00", interrupted: "#7F7F7F", not_started: "#CC79A7", lost: "#56B4E9",
};
const ALL_OTHERS = "*";
const MOST_LINES = 24;
const MOST_POINTS = 60;

function axisOf(runs, name, isLog = false) {
  const column = runs.column(name);
  const axis = { title: { text: plain(titleOf(column)) }, automargin: true };
  if (column.kind === "number") return { ...axis, ...(isLog ? logAxis(runs, column) : { type: "linear" }) };
  return { ...axis, type: "category", categoryorder: "array", categoryarray: runs.levelsOf(name).map((level) => levelName(level, column)) };
}

// A logarithmic axis has its marks at the values of a parameter, if these are few.
function logAxis(runs, column) {
  const levels = column.role === "param" ? runs.levelsOf(column.name).filter((level) => numberOf(level) > 0) : [];
  return levels.length && levels.length <= 12
    ? { type: "log", tickvals: levels.map(numberOf), ticktext: levels.map((level) => shown(level, column)) } : { type: "log" };
}

function levelName(level, column) {
  return plain(level === null ? "none" : shown(level, column));
}

// What stands along an axis: numbers as such, everything else as a category.
function along(cell, column) {
  return column.kind === "number" ? numberOf(cell) : levelName(cell, column);
}

function averaged(runs, used) {
  const others = runs.axes.filter((name) => !used.includes(name) && runs.levelsOf(name).length > 1);
  return others.length ? ` Averaged over ${others.join(", ")}.` : "";
}

function linesFigure(runs, { x, y, by, log }) {
  const [xColumn, yColumn] = [runs.column(x), runs.column(y)];
  const others = by === ALL_OTHERS ? runs.axes.filter((name) => name !== x) : by && by !== x ? [by] : [];
  const groups = runs.groups(runs.succeeded, others).sort((a, b) => compareLists(a.values, b.values));
  const drawn = groups.slice(0, MOST_LINES);
  const table = [];
  let isSpread = false;
  const data = drawn.map((group, place) => {
    const name = others.map((other, at) => levelText(group.values[at], runs.column(other))).join(", ") || y;
    const points = runs.groups(group.rows, [x])
      .map((each) => ({ at: each.values[0], ...fold(runs.numbers(each.rows, y)) }))
      .filter((point) => point.n && !(xColumn.kind === "number" && Number.isNaN(numberOf(point.at))))
      .sort((a, b) => compareCells(a.at, b.at));
    isSpread ||= points.some((point) => point.n > 1);
    for (const point of points) table.push([name, shown(point.at, xColumn), point.n, point.mean, point.std]);
    return {
      type: "scatter", name: plain(name), mode: points.length > MOST_POINTS ? "markers" : "lines+markers",
      x: points.map((point) => along(point.at, xColumn)), y: points.map((point) => point.mean),
      error_y: { type: "data", array: points.map((point) => point.std ?? 0), visible: points.some((point) => point.n > 1), thickness: 1.2, width: 4 },
      customdata: points.map((point) => point.n),
      hovertemplate: `%{x}: %{y:.6~g} (%{customdata} runs)<extra>${plain(name)}</extra>`,
      line: { color: paletteColour(place), dash: DASHES[Math.floor(place / PALETTES.light.length) % DASHES.length], width: 2 },
      marker: { symbol: MARKS[place % MARKS.length], size: 7 },
    };
  });
  const left = groups.length > drawn.length ? ` The first ${drawn.length} of ${groups.length} lines are drawn.` : "";
  const bars = isSpread ? " A point is a mean, a bar the standard deviation of its runs." : "";
  return {
    data,
    layout: { xaxis: axisOf(runs, x, log), yaxis: { ...axisOf(runs, y), rangemode: "normal" }, showlegend: others.length > 0 },
    note: `${y} against ${x}.${bars}${averaged(runs, [x, ...others])}${left}`,
    heads: ["line", titleOf(xColumn), "runs", `mean ${titleOf(yColumn)}`, "standard deviation"],
    table,
  };
}

function compareLists(a, b) {
  for (let place = 0; place < a.length; place++) {
    const order = isNothing(a[place]) || isNothing(b[place]) ? isNothing(a[place]) - isNothing(b[place]) : compareCells(a[place], b[place]);
    if (order) return order;
  }
  return 0;
}

function heatFigure(runs, { x, y, z }) {
  const [xs, ys] = [runs.levelsOf(x), runs.levelsOf(y)];
  const [xColumn, yColumn, zColumn] = [runs.column(x), runs.column(y), runs.column(z)];
  const cells = new Map(runs.groups(runs.succeeded, [x, y]).map((group) => [JSON.stringify(group.values), fold(runs.numbers(group.rows, z))]));
  const found = ys.map((yLevel) => xs.map((xLevel) => cells.get(JSON.stringify([xLevel, yLevel]))));
  const means = found.map((row) => row.map((cell) => (cell?.n ? cell.mean : null)));
  const isSmall = ys.length <= 12 && xs.length * 90 <= Math.min(innerWidth, 700);
  return {
    data: [{
      type: "heatmap", x: xs.map((level) => levelName(level, xColumn)), y: ys.map((level) => levelName(level, yColumn)), z: means,
      colorscale: "Viridis", colorbar: { title: { text: plain(titleOf(zColumn)), side: "right" }, thickness: 14 }, xgap: 1, ygap: 1,
      texttemplate: isSmall ? "%{z:.4~g}" : "", hovertemplate: `${plain(x)} %{x}<br>${plain(y)} %{y}<br>${plain(z)} %{z:.6~g}<extra></extra>`,
    }],
    layout: { xaxis: { ...axisOf(runs, x), type: "category" }, yaxis: { ...axisOf(runs, y), type: "category" } },
    note: `The mean of ${z} over ${x} and ${y}.${averaged(runs, [x, y])}`,
    heads: [titleOf(yColumn), titleOf(xColumn), "runs", `mean ${titleOf(zColumn)}`],
    table: ys.flatMap((yLevel, row) => xs.flatMap((xLevel, at) => (found[row][at]?.n
      ? [[shown(yLevel, yColumn), shown(xLevel, xColumn), found[row][at].n, found[row][at].mean]] : []))),
  };
}

function parallelFigure(runs, { dimensions, colour }) {
  const rows = runs.succeeded.filter((row) => Number.isFinite(numberOf(runs.cell(row, colour))));
  const drawn = dimensions.filter((name) => runs.column(name)).map((name) => dimensionOf(runs, rows, name));
  return {
    data: [{
      type: "parcoords", dimensions: drawn, labelangle: drawn.length > 6 ? -15 : 0, labelside: "top",
      line: { color: runs.numbers(rows, colour), colorscale: SCALES[scheme()], showscale: true, colorbar: { title: { text: plain(titleOf(runs.column(colour))), side: "right" }, thickness: 14 } },
    }],
    layout: { margin: { l: 70, r: 70, t: drawn.length > 6 ? 90 : 60, b: 30 } },
    note: `${counted(rows.length, "run")}, a line each, coloured by ${colour}. Drag along an axis to choose a part of it, drag its name to move it.`,
    heads: null,
    table: null,
  };
}

function dimensionOf(runs, rows, name) {
  const column = runs.column(name);
  const label = plain(titleOf(column));
  if (column.kind !== "number") {
    const levels = runs.levelsOf(name);
    const places = new Map(levels.map((level, place) => [level, place]));
    return { label, values: rows.map((row) => places.get(runs.cell(row, name))), tickvals: levels.map((_, place) => place), ticktext: levels.map((level) => levelName(level, column)), range: [-0.2, levels.length - 0.8] };
  }
  const values = rows.map((row) => numberOf(runs.cell(row, name)));
  const levels = runs.levelsOf(name).filter((level) => Number.isFinite(numberOf(level)));
  const scale = column.is_wide ? Math.log10 : (value) => value;
  const isFew = column.role === "param" && levels.length <= 15;
  const ticks = isFew ? { tickvals: levels.map((level) => scale(numberOf(level))), ticktext: levels.map((level) => shown(level, column)) } : {};
  return { label: column.is_wide && !isFew ? `log10 ${label}` : label, values: values.map(scale), ...ticks };
}

function paretoFigure(runs, { x, y, xBest, yBest }) {
  const names = runs.named((column) => column.role === "param" && column.varies && !column.is_repeat);
  const points = runs.groups(runs.succeeded, names).map((group) => {
    const [xs, ys] = [runs.numbers(group.rows, x), runs.numbers(group.rows, y)];
    const name = names.map((each, at) => levelText(group.values[at], runs.column(each))).join(", ") || "all runs";
    return { x: fold(xs).mean, y: fold(ys).mean, n: group.rows.length, name, isWhole: xs.length > 0 && ys.length > 0 };
  }).filter((point) => point.isWhole);
  const front = paretoFront(points, xBest === "low" ? 1 : -1, yBest === "low" ? 1 : -1);
  const label = (point) => `${plain(point.name.replaceAll(", ", "\n")).replaceAll("\n", "<br>")}`;
  const trace = { type: "scatter", hovertemplate: `%{text}<br>${plain(x)} %{x:.6~g}<br>${plain(y)} %{y:.6~g}<extra></extra>` };
  return {
    data: [
      { ...trace, name: "points", mode: "markers", x: points.map((point) => point.x), y: points.map((point) => point.y), text: points.map(label), marker: { color: "#56B4E9", size: 6, opacity: points.length > 500 ? 0.5 : 0.85 } },
      { ...trace, name: "Pareto front", mode: "lines+markers", x: front.map((point) => point.x), y: front.map((point) => point.y), text: front.map(label), line: { color: "#D55E00", width: 2, shape: "linear" }, marker: { symbol: "diamond", size: 9, color: "#D55E00" } },
    ],
    layout: { xaxis: axisOf(runs, x), yaxis: axisOf(runs, y), showlegend: true },
    note: `${counted(front.length, "point")} of ${points.length.toLocaleString("en")} on the front: no other is better in one of ${x} and ${y} (${xBest} and ${yBest} is better) and as good in the other. Repeats are averaged.`,
    heads: ["on the front", `mean ${titleOf(runs.column(x))}`, `mean ${titleOf(runs.column(y))}`, "runs"],
    table: front.map((point) => [point.name, point.x, point.y, point.n]),
  };
}

// Keep the points that no other point beats: by x, then each that has a better y than all before it.
function paretoFront(points, xSign, ySign) {
  const sorted = [...points].sort((a, b) => xSign * (a.x - b.x) || ySign * (a.y - b.y));
  const front = [];
  let best = Infinity;
  for (const point of sorted) {
    const isTie = front.length > 0 && point.x === front.at(-1).x && point.y === front.at(-1).y;
    if (ySign * point.y < best || isTie) {
      front.push(point);
      best = ySign * point.y;
    }
  }
  return front;
}

function timelineFigure(runs) {
  const rows = runs.chosen.filter((row) => runs.cell(row, "slot") !== null);
  const lanes = runs.groups(rows, ["host", "slot"]).sort((a, b) => compareLists(a.values, b.values));
  const hosts = new Set(lanes.map((lane) => lane.values[0]));
  const traces = new Map();
  const table = [];
  const width = Math.max(3, Math.min(18, 220 / Math.max(lanes.length, 1)));
  for (const lane of lanes) {
    const name = (hosts.size > 1 ? `${plain(lane.values[0])} ` : "") + `slot ${lane.values[1]}`;
    let [busy, first, last] = [0, Infinity, -Infinity];
    for (const row of lane.rows) {
      const [begin, seconds, status] = [runs.cell(row, "start"), runs.cell(row, "duration"), runs.cell(row, "status")];
      if (!traces.has(status)) traces.set(status, { x: [], y: [], text: [] });
      const trace = traces.get(status);
      const text = `run ${runs.cell(row, "index")}, ${status.replaceAll("_", " ")}, ${shortNumber(seconds)} s`;
      trace.x.push(begin, begin + seconds * 1000, null);
      trace.y.push(name, name, null);
      trace.text.push(text, text, "");
      busy += seconds;
      [first, last] = [Math.min(first, begin), Math.max(last, begin + seconds * 1000)];
    }
    const span = (last - first) / 1000;
    table.push([name, lane.rows.length, busy, span > 0 ? `${Math.round(Math.min(1, busy / span) * 100)} %` : ""]);
  }
  const isFew = rows.length <= 1000;
  return {
    data: [...traces].map(([status, trace]) => ({
      type: "scatter", mode: isFew ? "lines+markers" : "lines", name: status.replaceAll("_", " "), ...trace, connectgaps: false,
      line: { color: STATUS_COLOURS[status], width, simplify: false }, marker: { symbol: "line-ns-open", size: width * 0.7, color: "rgba(255,255,255,0.75)" },
      hovertemplate: "%{text}<br>%{x|%H:%M:%S}<extra></extra>",
    })),
    layout: {
      xaxis: { type: "date", automargin: true, title: { text: "time (UTC)" } },
      yaxis: { type: "category", automargin: true, categoryorder: "array", categoryarray: table.map((row) => row[0]).reverse(), range: [-0.6, lanes.length - 0.4] },
      showlegend: true,
    },
    note: "Which run was in which slot, and when. Only a run's last attempt is shown.",
    heads: ["slot", "runs", "busy seconds", "of the time from its first start to its last end"],
    table,
  };
}

function distributionFigure(runs, { x, by }) {
  const rows = by === "status" ? runs.chosen : runs.succeeded;
  const groups = runs.groups(rows, by ? [by] : []).sort((a, b) => compareLists(a.values, b.values)).slice(0, MOST_LINES);
  const column = by ? runs.column(by) : null;
  const all = runs.numbers(rows, x);
  const { min, max } = all.length ? fold(all) : { min: 0, max: 1 };
  const bins = Math.min(60, Math.max(8, Math.ceil(Math.sqrt(all.length))));
  const size = max > min ? (max - min) / bins : 1;
  const named = groups.map(({ values: [level], rows: some }) => {
    const colour = by === "status" ? STATUS_COLOURS[level] : null;
    const name = by === "status" ? level.replaceAll("_", " ") : column ? levelText(level, column) : x;
    const place = by === "status" ? Object.keys(STATUS_COLOURS).indexOf(level) : null;
    return { name, colour, place, numbers: runs.numbers(some, x) };
  }).filter((group) => group.numbers.length);
  return {
    data: named.map((group, place) => ({
      type: "histogram", name: plain(group.name), x: group.numbers, autobinx: false, xbins: { start: min, end: max + size, size },
      marker: { color: group.colour ?? paletteColour(place), pattern: { shape: ["", "/", "x", ".", "-", "\\", "|", "+"][(group.place ?? place) % 8], size: 6, solidity: 0.25 } },
    })),
    layout: { barmode: "stack", bargap: 0.03, xaxis: { ...axisOf(runs, x), type: "linear" }, yaxis: { title: { text: "runs" }, automargin: true }, showlegend: named.length > 1 },
    note: `How ${x} is distributed over ${by === "status" ? "all runs that have one" : "the runs that succeeded"}.`,
    heads: ["of", "runs", "least", "median", "mean", "most"],
    table: named.map(({ name, numbers }) => {
      const { n, mean, min: least, max: most } = fold(numbers);
      return [name, n, least, median(numbers), mean, most];
    }),
  };
}

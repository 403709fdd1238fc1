// Plots: the figures on the page with the controls that choose their axes; a plot is drawn once it comes into sight.

const REDRAW_MILLISECONDS = 300;

function options(names, current, labels = {}) {
  return names.map((name) => make("option", { value: name, selected: name === current }, labels[name] ?? name));
}

// Each kind of plot: its title, its first settings out of what was chosen for it, its controls, its figure.
const PLOTS = [
  {
    id: "lines", title: "A measure against a parameter", isWide: true, figure: linesFigure,
    settings: ({ lines }, runs) => lines && { ...lines, log: runs.column(lines.x).is_wide },
    controls: (runs) => [
      { name: "y", label: "Up", names: runs.measures },
      { name: "x", label: "Along", names: [...runs.parameters, ...runs.measures] },
      { name: "by", label: "A line per", names: ["", ALL_OTHERS, ...runs.parameters], labels: { "": "nothing: one line", [ALL_OTHERS]: "all other parameters" } },
      { name: "log", label: "logarithmic", isCheck: true },
    ],
    changed: (settings, name, runs) => {
      if (name === "x") settings.log = runs.column(settings.x).is_wide;
    },
  },
  {
    id: "heat", title: "A measure over two parameters", figure: heatFigure, settings: ({ heat_map: heat }) => heat && { ...heat },
    controls: (runs) => [
      { name: "z", label: "Colour", names: runs.measures },
      { name: "x", label: "Along", names: runs.parameters },
      { name: "y", label: "Up", names: runs.parameters },
    ],
  },
  {
    id: "pareto", title: "One measure against another", figure: paretoFigure,
    settings: ({ pareto }) => pareto && { x: pareto.x, y: pareto.y, xBest: pareto.x_prefers_less ? "low" : "high", yBest: pareto.y_prefers_less ? "low" : "high" },
    controls: (runs) => [
      { name: "y", label: "Up", names: runs.measures },
      { name: "yBest", label: "better is", names: ["low", "high"] },
      { name: "x", label: "Along", names: runs.measures },
      { name: "xBest", label: "better is", names: ["low", "high"] },
    ],
    changed: (settings, name, runs) => {
      if (name === "x" || name === "y") settings[`${name}Best`] = runs.column(settings[name]).prefers_less ? "low" : "high";
    },
  },
  {
    id: "parallel", title: "All at once", isWide: true, figure: parallelFigure, settings: ({ parallel }) => parallel && { ...parallel, dimensions: [...parallel.dimensions] },
    controls: (runs) => [
      { name: "colour", label: "Colour", names: [...runs.measures, ...runs.parameters.filter((name) => runs.column(name).kind === "number")] },
      { name: "dimensions", label: "Axes", names: [...runs.parameters, ...runs.measures], isMany: true },
    ],
  },
  {
    id: "timeline", title: "Timeline of the slots", figure: timelineFigure,
    settings: (_, runs) => (runs.rows.some((row) => runs.cell(row, "slot") !== null) ? {} : null), controls: () => [],
  },
  {
    id: "distribution", title: "Distribution", figure: distributionFigure, settings: ({ distribution }) => ({ x: distribution, by: "status" }),
    controls: (runs) => [
      { name: "x", label: "Of", names: runs.measures },
      { name: "by", label: "Coloured by", names: ["", "status", ...runs.parameters], labels: { "": "nothing" } },
    ],
  },
];

class Plot {
  constructor(kind, runs, choice) {
    this.kind = kind;
    this.runs = runs;
    this.settings = kind.settings(choice, runs);
    this.isSeen = false;
    this.isStale = true;
    this.figure = make("div", { class: "figure", role: "img", id: `plot-${kind.id}` });
    this.note = make("p", { class: "note" });
    this.numbers = make("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": `numbers: ${kind.title}` });
    this.details = make("details", { ontoggle: () => this.fillNumbers() }, make("summary", {}, "The numbers as a table"), this.numbers);
    this.controls = make("div", { class: "controls" });
    this.element = make("section", { class: kind.isWide ? "plot wide" : "plot", "aria-labelledby": `title-${kind.id}` },
      make("h3", { id: `title-${kind.id}` }, kind.title), this.controls, this.figure, this.note, this.details);
    this.layOut();
  }

  layOut() {
    this.controls.replaceChildren(...this.kind.controls(this.runs).map((control) => this.control(control)));
  }

  control({ name, label, names, labels, isCheck, isMany }) {
    const set = (value) => {
      this.settings[name] = value;
      this.kind.changed?.(this.settings, name, this.runs);
      const focused = document.activeElement?.dataset?.control;
      this.layOut();
      if (focused) this.controls.querySelector(`[data-control="${focused}"]`)?.focus();
      this.draw();
    };
    if (isCheck) return make("label", { class: "check" }, make("input", { type: "checkbox", "data-control": name, checked: Boolean(this.settings[name]), onchange: (event) => set(event.target.checked) }), label);
    if (isMany) return this.manyControl(name, label, names);
    return make("label", {}, label, make("select", { "data-control": name, onchange: (event) => set(event.target.value) }, ...options(names, this.settings[name], labels)));
  }

  manyControl(name, label, names) {
    const boxes = names.map((each) => make("label", {}, make("input", { type: "checkbox", checked: this.settings[name].includes(each), onchange: (event) => {
      const kept = new Set(this.settings[name]);
      kept[event.target.checked ? "add" : "delete"](each);
      this.settings[name] = names.filter((other) => kept.has(other));
      this.draw();
    } }), each));
    return make("details", {}, make("summary", {}, label), make("div", { class: "choices" }, ...boxes));
  }

  // What is drawn is not up to date any more.
  markStale() {
    this.isStale = true;
    this.figure.setAttribute("aria-busy", "true");
  }

  // Draw now if it is in sight, else when it comes there.
  draw() {
    this.markStale();
    if (this.isSeen) this.drawNow();
  }

  drawAnew() {
    this.markStale();
    this.drawNow();
  }

  drawNow() {
    if (!this.isStale) return;
    this.isStale = false;
    const { data, layout, note, heads, table } = this.kind.figure(this.runs, this.settings);
    drawFigure(this.figure, data, layout);
    this.figure.setAttribute("aria-busy", "false");
    this.note.textContent = note;
    this.figure.setAttribute("aria-label", `${this.kind.title}: ${note}${heads ? " The table below has the numbers." : " The table of the runs has the numbers."}`);
    this.table = heads && { heads, table };
    this.details.hidden = !heads;
    this.fillNumbers();
  }

  fillNumbers() {
    if (!this.details.open || !this.table) return;
    const { heads, table } = this.table;
    const some = table.slice(0, PRINTED_ROWS);
    const rest = table.length > some.length ? [make("p", { class: "note" }, `The first ${some.length} of ${table.length} rows.`)] : [];
    this.numbers.replaceChildren(numberTable(this.kind.title, heads, some), ...rest);
  }
}

class Plots {
  constructor(runs) {
    this.runs = runs;
    this.plots = [];
    this.grid = make("div", { class: "plots" });
    this.element = make("section", { "aria-labelledby": "plots-title" }, make("h2", { id: "plots-title" }, "Plots"), this.grid);
    // After the first paint: to run plotly.js takes longer than all else, and the table is of use before.
    this.sight = new IntersectionObserver((entries) => setTimeout(() => entries.forEach((entry) => this.see(entry))), { rootMargin: "200px" });
    darkness.addEventListener("change", () => this.draw());
    drawForPrint(() => this.plots.forEach((plot) => plot.drawAnew()), () => this.draw());
  }

  see(entry) {
    const plot = this.plots.find((each) => each.element === entry.target);
    plot.isSeen = entry.isIntersecting;
    if (plot.isSeen) plot.drawNow();
  }

  // Other columns, or a first choice of axes: kinds of plots that have become possible are added.
  layOut(choice) {
    for (const kind of PLOTS) {
      const there = this.plots.find((plot) => plot.kind === kind);
      if (there) there.layOut();
      else if (this.runs.rows.length && kind.settings(choice, this.runs)) this.plots.push(new Plot(kind, this.runs, choice));
    }
    this.plots.sort((a, b) => PLOTS.indexOf(a.kind) - PLOTS.indexOf(b.kind));
    for (const [place, plot] of this.plots.entries()) {
      if (this.grid.children[place] !== plot.element) this.grid.insertBefore(plot.element, this.grid.children[place] ?? null);
      this.sight.observe(plot.element);
    }
    this.element.hidden = !this.plots.length;
  }

  draw() {
    this.plots.forEach((plot) => plot.markStale());
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.plots.forEach((plot) => plot.draw()), REDRAW_MILLISECONDS);
  }
}

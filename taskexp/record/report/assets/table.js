// Table: the runs by pages, sorted by a click on a head, filtered below it.

const FIRST_SHOWN = ["index", "status", "duration"];
const PRINTED_ROWS = 1000;

class RunTable {
  constructor(runs, changed, openLog) {
    this.runs = runs;
    this.changed = changed;
    this.openLog = openLog;
    this.page = 0;
    this.size = 50;
    this.shownNames = null;
    this.build();
  }

  build() {
    const search = make("input", { type: "search", id: "search", placeholder: "any text", oninput: (event) => {
      this.runs.search = event.target.value;
      this.chosen();
    } });
    const size = make("select", { onchange: (event) => {
      this.size = Number(event.target.value);
      this.page = 0;
      this.fill();
    } }, ...[25, 50, 100, 500].map((count) => make("option", { value: count, selected: count === this.size }, String(count))));
    this.choices = make("div", { class: "choices" });
    this.back = make("button", { type: "button", onclick: () => this.turn(-1) }, "Previous");
    this.forth = make("button", { type: "button", onclick: () => this.turn(1) }, "Next");
    this.told = make("p", { role: "status", class: "note", id: "shown-rows" });
    this.head = make("thead");
    this.body = make("tbody");
    this.element = make("section", { "aria-labelledby": "runs-title" },
      make("h2", { id: "runs-title" }, "Runs"),
      make("div", { class: "controls" },
        make("label", {}, "Search", search),
        make("label", {}, "Rows per page", size),
        make("button", { type: "button", onclick: () => this.clear() }, "Show all"),
        this.back, this.forth),
      make("details", {}, make("summary", {}, "Columns"), this.choices),
      this.told,
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "runs-title" },
        make("table", {}, make("caption", { class: "hidden" }, "Runs, a row each. The heads sort; the fields below them filter, as do the plots."), this.head, this.body)));
    this.search = search;
  }

  clear() {
    this.runs.filters.clear();
    this.runs.search = this.search.value = "";
    this.layOut();
    this.chosen();
  }

  turn(step) {
    this.page += step;
    this.fill();
  }

  // The columns have changed.
  layOut() {
    const columns = this.runs.columns;
    this.shownNames ??= new Set();
    for (const column of columns) {
      if (this.known?.has(column.name)) continue;
      const isWanted = column.role === "metric" || FIRST_SHOWN.includes(column.name)
        || ((column.role === "param" || ["repeat", "attempt", "error"].includes(column.name)) && column.varies);
      if (isWanted) this.shownNames.add(column.name);
    }
    this.known = new Set(columns.filter((column) => column.varies).map((column) => column.name));
    this.choices.replaceChildren(...columns.map((column) => make("label", {},
      make("input", { type: "checkbox", checked: this.shownNames.has(column.name), onchange: (event) => {
        this.shownNames[event.target.checked ? "add" : "delete"](column.name);
        this.drawHead();
        this.fill();
      } }), titleOf(column))));
    this.drawHead();
  }

  get shown() {
    return this.runs.columns.filter((column) => this.shownNames.has(column.name));
  }

  drawHead() {
    const heads = this.shown.map((column) => make("th", { scope: "col", "data-name": column.name, class: isNumeric(column) ? "number" : "" },
      make("button", { type: "button", onclick: () => this.sortBy(column.name) }, titleOf(column))));
    const filters = this.shown.map((column) => make("td", {}, this.filterOf(column)));
    const log = this.openLog ? [make("th", { scope: "col" }, "log")] : [];
    const none = this.openLog ? [make("td")] : [];
    this.head.replaceChildren(make("tr", {}, ...heads, ...log), make("tr", { class: "filters" }, ...filters, ...none));
    this.markSort();
  }

  filterOf(column) {
    const current = this.runs.filters.get(column.name) ?? "";
    const set = (event) => {
      this.runs.filters.set(column.name, event.target.value);
      this.chosen();
    };
    const levels = column.role === "metric" || column.unit || column.kind === "time" ? [] : this.runs.levelsOf(column.name);
    if (levels.length > 1 && levels.length <= WIDGET_LEVELS) {
      const options = levels.map((level) => {
        const value = `json:${JSON.stringify(level)}`;
        return make("option", { value, selected: value === current }, level === null ? "none" : shown(level, column));
      });
      return make("select", { "aria-label": `filter ${column.name}`, onchange: set }, make("option", { value: "" }, "all"), ...options);
    }
    const hint = isNumeric(column) ? ">1, 2..3" : "text";
    return make("input", { type: "search", size: 6, "aria-label": `filter ${column.name}`, placeholder: hint, value: current, oninput: set });
  }

  sortBy(name) {
    const sort = this.runs.sort;
    this.runs.sort = { name, down: sort.name === name ? !sort.down : false };
    this.runs.choose();
    this.page = 0;
    this.markSort();
    this.fill();
  }

  markSort() {
    for (const head of this.head.querySelectorAll("th[data-name]")) {
      const isKey = head.dataset.name === this.runs.sort.name;
      head.setAttribute("aria-sort", isKey ? (this.runs.sort.down ? "descending" : "ascending") : "none");
    }
  }

  // Other rows are wanted.
  chosen() {
    this.runs.choose();
    this.page = 0;
    this.fill();
    this.changed();
  }

  fill(printed = false) {
    const { chosen, rows } = this.runs;
    const size = printed ? PRINTED_ROWS : this.size;
    const pages = Math.max(1, Math.ceil(chosen.length / size));
    this.page = printed ? 0 : Math.min(Math.max(this.page, 0), pages - 1);
    const first = this.page * size;
    const columns = this.shown.map((column) => [column, this.runs.places.get(column.name)]);
    const some = chosen.slice(first, first + size);
    this.body.replaceChildren(...some.map((row) => this.rowOf(row, columns)));
    this.back.disabled = this.page === 0;
    this.forth.disabled = this.page >= pages - 1;
    const of = chosen.length === rows.length ? counted(rows.length, "run") : `${counted(chosen.length, "run")} chosen of ${rows.length.toLocaleString("en")}`;
    this.told.textContent = chosen.length > some.length
      ? `Rows ${(first + 1).toLocaleString("en")} to ${(first + some.length).toLocaleString("en")} of ${of}` : of;
  }

  rowOf(row, columns) {
    const cells = columns.map(([column, place]) => cellOf(row[place], column));
    if (this.openLog) cells.push(make("td", {}, logButton(this.runs.cell(row, "id"), this.runs.cell(row, "index"), this.openLog)));
    return make("tr", {}, ...cells);
  }
}

function isNumeric(column) {
  return column.kind === "number" || column.kind === "time";
}

function cellOf(cell, column) {
  if (column.name === "index") return make("th", { scope: "row", class: "number" }, shown(cell, column));
  if (column.name === "status") return make("td", {}, make("span", { class: `status ${cell}` }, cell.replaceAll("_", " ")));
  return make("td", { class: isNumeric(column) ? "number" : "text" }, shown(cell, column));
}

function logButton(id, index, openLog) {
  return make("button", { type: "button", class: "log", "aria-label": `log of run ${index}`, onclick: () => openLog(id, index) }, "log");
}

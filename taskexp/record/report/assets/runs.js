// Runs: the rows of the page and their columns, and which of them are wanted, in which order.

class Runs {
  constructor() {
    this.columns = [];
    this.rows = [];
    this.search = "";
    this.filters = new Map();
    this.sort = { name: "index", down: false };
  }

  // Take columns and rows; those of a run that is there already take its place.
  take(columns, rows, isAll) {
    this.columns = columns;
    this.places = new Map(columns.map((column, place) => [column.name, place]));
    if (isAll) this.rows = rows;
    else this.merge(rows);
    this.levels = new Map();
    this.texts = new WeakMap();
    this.choose();
  }

  merge(rows) {
    const id = this.places.get("id");
    const known = new Map(this.rows.map((row, place) => [row[id], place]));
    for (const row of rows) {
      const place = known.get(row[id]);
      if (place === undefined) known.set(row[id], this.rows.push(row) - 1);
      else this.rows[place] = row;
    }
  }

  column(name) {
    return this.columns[this.places.get(name)];
  }

  cell(row, name) {
    return row[this.places.get(name)];
  }

  // The different values of a column: numbers by size, others as they come.
  levelsOf(name) {
    let found = this.levels.get(name);
    if (!found) {
      const place = this.places.get(name);
      found = [...new Set(this.rows.map((row) => row[place]))];
      if (this.column(name).kind === "number") found.sort(compareCells);
      this.levels.set(name, found);
    }
    return found;
  }

  named(test) {
    return this.columns.filter(test).map((column) => column.name);
  }

  get axes() {
    return this.named((column) => column.is_axis);
  }

  get parameters() {
    return this.named((column) => column.role === "param" && column.varies);
  }

  get measures() {
    return this.named((column) => column.role === "metric" || (column.unit && column.role === "run"));
  }

  // Find the rows that are wanted, and put them into order.
  choose() {
    const tests = [];
    for (const [name, text] of this.filters) {
      if (text && this.places.has(name)) tests.push(filterTest(this.places.get(name), this.column(name), text));
    }
    const words = this.search.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) tests.push((row) => words.every((word) => this.textOf(row).includes(word)));
    const kept = this.rows.filter((row) => tests.every((test) => test(row)));
    this.chosen = this.sorted(kept);
  }

  sorted(rows) {
    const place = this.places.get(this.sort.name);
    if (place === undefined) return rows;
    const sign = this.sort.down ? -1 : 1;
    return rows.sort((a, b) => {
      const noA = isNothing(a[place]), noB = isNothing(b[place]);
      return noA || noB ? noA - noB : sign * compareCells(a[place], b[place]);
    });
  }

  textOf(row) {
    let text = this.texts.get(row);
    if (text === undefined) {
      text = row.map((cell, place) => shown(cell, this.columns[place])).join("\n").toLowerCase();
      this.texts.set(row, text);
    }
    return text;
  }

  get succeeded() {
    const status = this.places.get("status");
    return this.chosen.filter((row) => row[status] === "succeeded");
  }

  // Gather rows that agree in some columns; each group has the values of these and its rows.
  groups(rows, names) {
    const places = names.map((name) => this.places.get(name));
    const found = new Map();
    for (const row of rows) {
      const key = places.map((place) => JSON.stringify(row[place])).join("\n");
      let group = found.get(key);
      if (!group) found.set(key, (group = { values: places.map((place) => row[place]), rows: [] }));
      group.rows.push(row);
    }
    return [...found.values()];
  }

  numbers(rows, name) {
    const place = this.places.get(name);
    return rows.map((row) => numberOf(row[place])).filter(Number.isFinite);
  }
}

const WIDGET_LEVELS = 12;

// A column of few values is filtered by one of them, given as JSON; others by a text or a comparison of numbers.
function filterTest(place, column, text) {
  if (text.startsWith("json:")) {
    const wanted = text.slice(5);
    return (row) => JSON.stringify(row[place]) === wanted;
  }
  const range = /^\s*(-?[\d.eE+-]+)\s*\.\.\s*(-?[\d.eE+-]+)\s*$/.exec(text);
  if (range) return (row) => numberOf(row[place]) >= Number(range[1]) && numberOf(row[place]) <= Number(range[2]);
  const comparison = /^\s*(<=|>=|<|>|=)\s*(\S+)\s*$/.exec(text);
  if (comparison && !Number.isNaN(Number(comparison[2]))) {
    const [, sign, limit] = [...comparison.slice(0, 2), Number(comparison[2])];
    const holds = {
      "<": (value) => value < limit, "<=": (value) => value <= limit, ">": (value) => value > limit,
      ">=": (value) => value >= limit, "=": (value) => value === limit,
    }[sign];
    return (row) => holds(numberOf(row[place]));
  }
  const part = text.trim().toLowerCase();
  return (row) => shown(row[place], column).toLowerCase().includes(part);
}

"use strict";
// Values: cells as numbers and as text, what several of them come to, and elements of the page made of them.

// Elements get text as text, never as HTML: what programs print, and what parameters hold, is shown and does nothing.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function numberOf(cell) {
  return cell === null || cell === "" || typeof cell === "boolean" ? NaN : Number(cell);
}

function shortNumber(value) {
  if (!Number.isFinite(value)) return String(value);
  return String(Number.isInteger(value) && Math.abs(value) < 1e15 ? value : Number(value.toPrecision(6)));
}

function shown(cell, column) {
  if (cell === null) return "";
  if (typeof cell === "boolean") return cell ? "on" : "off";
  if (column?.kind === "time") return new Date(cell).toLocaleString();
  return typeof cell === "number" ? shortNumber(cell) : cell;
}

// plotly takes some HTML in its labels for formatting.
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function titleOf(column) {
  return column.unit ? `${column.name} (${column.unit})` : column.name;
}

function levelText(cell, column) {
  if (cell === null) return "none";
  if (typeof cell === "boolean") return cell ? column.name : `no ${column.name}`;
  return `${column.name} ${shown(cell, column)}`;
}

function fold(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  let least = Infinity, most = -Infinity;
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return { n, mean, std: n > 1 ? Math.sqrt(squares / (n - 1)) : null, min: least, max: most };
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function compareCells(a, b) {
  const x = numberOf(a), y = numberOf(b);
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function isNothing(cell) {
  return cell === null || cell === "NaN";
}

// A table of numbers, as the text alternative of a plot.
function numberTable(caption, heads, rows) {
  const cell = (value) =>
    make("td", { class: typeof value === "number" ? "number" : "text" }, typeof value === "number" ? shortNumber(value) : value ?? "");
  return make("table", { class: "narrow" },
    make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head, place) => make("th", { scope: "col", class: rows.some((row) => typeof row[place] === "number") ? "number" : "" }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));
}

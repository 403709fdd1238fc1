// Report: the page of a sweep: its head, its failures, its plots and its table.

class Head {
  constructor() {
    this.counts = make("ul", { class: "counts", "aria-label": "runs by how they ended" });
    this.progress = make("div");
    this.facts = make("dl", { class: "facts" });
    this.element = make("section", { "aria-label": "overview" }, this.counts, this.progress, this.facts);
  }

  show({ counts, facts, state }) {
    const ended = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const items = Object.entries(counts).map(([status, count]) => countItem(count, status.replaceAll("_", " "), `status ${status}`));
    if (state?.running?.length) items.push(countItem(state.running.length, "running", "status running"));
    this.counts.replaceChildren(countItem(ended, ended === 1 ? "run" : "runs", ""), ...items);
    const points = state?.points;
    this.progress.replaceChildren(...(points && ended < points
      ? [make("label", {}, `${ended.toLocaleString("en")} of ${counted(points, "point")} `, make("progress", { value: ended, max: points }))] : []));
    this.facts.replaceChildren(...facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", { class: "value" }, text)]));
  }
}

function countItem(count, label, style) {
  return make("li", {}, make("b", {}, count.toLocaleString("en")), " ", make("span", { class: style }, label));
}

const AT_ONCE = 3;

class Failures {
  constructor(openLog) {
    this.openLog = openLog;
    this.list = make("div");
    this.more = make("details", {}, make("summary"), make("div"));
    this.rest = make("p", { class: "note" });
    this.element = make("section", { "aria-labelledby": "failures-title" }, make("h2", { id: "failures-title" }, "Failures"), this.list, this.more, this.rest);
  }

  show({ failures, failure_count: count }) {
    this.element.hidden = !count;
    const closed = new Set([...this.element.querySelectorAll(".failure:not([open])")].map((each) => each.dataset.key));
    const drawn = failures.map((failure) => this.failure(failure, closed));
    this.list.replaceChildren(...drawn.slice(0, AT_ONCE));
    this.more.hidden = drawn.length <= AT_ONCE;
    this.more.firstChild.textContent = counted(drawn.length - AT_ONCE, "more failure");
    this.more.lastChild.replaceChildren(...drawn.slice(AT_ONCE));
    this.rest.textContent = count > failures.length ? `${counted(count - failures.length, "failure")} beyond these are in the table alone: filter its status.` : "";
  }

  failure({ id, index, attempt, what, command, log, lines }, closed) {
    const key = `${id}/${attempt}`;
    const tries = attempt > 1 ? `, at attempt ${attempt}` : "";
    return make("details", { class: "failure", "data-key": key, open: !closed.has(key) },
      make("summary", {}, make("b", {}, `Run ${index}`), ` ${what}${tries}`),
      make("p", { class: "value" }, command),
      lines.length ? make("pre", { tabindex: "0", role: "region", "aria-label": `last lines of run ${index}` }, lines.join("\n")) : make("p", { class: "note" }, "It printed nothing."),
      make("p", { class: "note" }, "Log: ", make("span", { class: "value" }, log), " ", ...(this.openLog ? [logButton(id, index, this.openLog)] : [])));
  }
}

class Report {
  constructor(main, openLog) {
    this.runs = new Runs();
    this.head = new Head();
    this.failures = new Failures(openLog);
    this.plots = new Plots(this.runs);
    this.table = new RunTable(this.runs, () => this.plots.draw(), openLog);
    main.append(this.head.element, this.failures.element, this.plots.element, this.table.element);
    addEventListener("beforeprint", () => this.table.fill(true));
    addEventListener("afterprint", () => this.table.fill());
  }

  take(content, isAll = true) {
    const columns = JSON.stringify(content.columns);
    this.runs.take(content.columns, content.rows, isAll);
    this.head.show(content);
    this.failures.show(content);
    if (columns !== this.columns) {
      this.columns = columns;
      this.table.layOut();
      this.plots.layOut(content.choice);
    }
    this.table.fill();
    this.plots.draw();
  }
}

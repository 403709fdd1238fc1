// Live: the page of a sweep that runs: what the server sends is shown as it comes, and the logs of runs are followed.

const KEPT_LINES = 5000;
const AGE_MILLISECONDS = 1000;

function address(path, query = {}) {
  const parameters = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(query)) parameters.set(name, value);
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

function ageText(since) {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1000));
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

class LogDialog {
  constructor() {
    this.title = make("h2", { id: "log-title" });
    this.told = make("p", { class: "note", role: "status" });
    this.whole = make("a", { target: "_blank", rel: "noopener" }, "The whole log as text");
    this.lines = make("div");
    this.begun = make("div");
    this.text = make("pre", { tabindex: "0", role: "log", "aria-labelledby": "log-title" }, this.lines, this.begun);
    this.element = make("dialog", { "aria-labelledby": "log-title", onclose: () => this.source?.close() },
      make("div", { class: "bar" }, make("div", {}, this.title, this.told, this.whole), make("button", { type: "button", onclick: () => this.element.close() }, "Close")), this.text);
  }

  open(id, index) {
    this.source?.close();
    this.title.textContent = `Log of run ${index}`;
    this.whole.href = address("log.txt", { run: id });
    this.told.textContent = "waiting for the server";
    this.clear();
    this.element.showModal();
    this.source = new EventSource(address("log", { run: id }));
    this.source.addEventListener("begin", (event) => this.begin(JSON.parse(event.data)));
    this.source.addEventListener("lines", (event) => this.add(JSON.parse(event.data)));
    this.source.addEventListener("end", (event) => {
      this.source.close();
      this.told.textContent = `${this.what}, ${JSON.parse(event.data).text}`;
    });
    this.source.addEventListener("error", () => { this.told.textContent = `${this.what ?? "the log"} cannot be read now`; });
  }

  clear() {
    this.lines.replaceChildren();
    this.begun.textContent = "";
  }

  begin({ attempt }) {
    this.clear();
    this.what = `attempt ${attempt}`;
    this.told.textContent = `${this.what}, followed`;
  }

  add({ lines, begun, skipped }) {
    const isAtEnd = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 40;
    const added = skipped ? [make("div", { class: "note" }, `… ${counted(skipped, "byte")} left out …`)] : [];
    this.lines.append(...added, ...lines.map((line) => make("div", {}, line || "\u200b")));
    while (this.lines.childElementCount > KEPT_LINES) this.lines.firstChild.remove();
    this.begun.textContent = begun;
    if (isAtEnd) this.text.scrollTop = this.text.scrollHeight;
  }
}

class RunningNow {
  constructor(openLog) {
    this.openLog = openLog;
    this.body = make("tbody");
    this.element = make("section", { "aria-labelledby": "running-title", hidden: true }, make("h2", { id: "running-title" }, "Running now"),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "running-title" },
        make("table", {}, make("caption", { class: "hidden" }, "Runs that have not ended"),
          make("thead", {}, make("tr", {}, ...["index", "attempt", "for", "with", "log"].map((head) => make("th", { scope: "col" }, head)))), this.body)));
    setInterval(() => this.age(), AGE_MILLISECONDS);
  }

  show(running) {
    this.element.hidden = !running.length;
    const rows = new Map([...this.body.children].map((row) => [row.dataset.key, row]));
    this.body.replaceChildren(...running.map((run) => rows.get(`${run.id}/${run.attempt}`) ?? this.row(run)));
    this.age();
  }

  row({ id, index, attempt, since, params }) {
    const told = Object.entries(params).map(([name, value]) => levelText(value, { name })).join(", ");
    return make("tr", { "data-key": `${id}/${attempt}` }, make("th", { scope: "row" }, String(index)), make("td", {}, String(attempt)),
      make("td", { class: "age", "data-since": since }), make("td", { class: "text value" }, told), make("td", {}, logButton(id, index, this.openLog)));
  }

  age() {
    for (const cell of this.body.querySelectorAll(".age")) cell.textContent = ageText(Number(cell.dataset.since));
  }
}

class LivePage {
  constructor(main) {
    const log = new LogDialog();
    const openLog = (id, index) => log.open(id, index);
    this.told = make("p", { role: "status", id: "live" }, "waiting for the server");
    this.running = new RunningNow(openLog);
    main.append(this.told);
    this.report = new Report(main, openLog);
    this.report.head.element.after(this.running.element);
    document.body.append(log.element);
    const source = new EventSource(address("events"));
    const listen = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
    listen("content", (content) => this.take(content));
    listen("state", (state) => this.show({ ...this.content, state }));
    listen("trouble", ({ text }) => this.tell(text));
    source.addEventListener("error", () => this.tell("The server does not answer; this is what it has told last."));
  }

  take(content) {
    this.content = { ...content, rows: null };
    this.report.take(content, content.all);
    this.show(content);
  }

  show(content) {
    this.report.head.show(content);
    this.running.show(content.state.running);
    this.tell(content.state.is_driven ? "The sweep runs; this page follows it." : "Nothing runs.");
  }

  tell(text) {
    if (this.told.textContent !== text) this.told.textContent = text;
  }
}

new LivePage(document.getElementById("main"));

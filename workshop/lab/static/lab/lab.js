// Sends the requests of a step, or those of a workload all at once, and draws when each was sent, answered and done.
// What the browser itself measured (Resource Timing) is drawn, because fetch() can't tell a request that waits for one
// of the browser's connections from one that the server is busy with.

const RUNS_SHOWN = 4;
const COLOURS = 6;
const MANY = 16;
// Milliseconds that the browser may take to hand over what it measured.
const MEASURED_WITHIN = 1000;

const data = (name) => JSON.parse(document.getElementById(name).textContent);
const workloads = new Map(data("workloads").map((workload) => [workload.name, workload]));
const form = document.querySelector("[data-choose]");
const status = document.querySelector("[data-status]");
const empty = document.querySelector("[data-empty]");
const shown = document.querySelector("[data-runs]");
const language = document.documentElement.lang;
const runs = [];
let serial = 0;

const fill = (text, n) => text.replace("{n}", n);

function unit(name, digits) {
  const format = new Intl.NumberFormat(language, {
    style: "unit", unit: name, unitDisplay: "narrow", minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
  return (number) => format.format(number);
}

const inSeconds = unit("second", 2);
const inMilliseconds = unit("millisecond", 0);
const inTenths = unit("millisecond", 1);

function duration(milliseconds) {
  if (milliseconds >= 1000) return inSeconds(milliseconds / 1000);
  return milliseconds >= 20 ? inMilliseconds(milliseconds) : inTenths(milliseconds);
}

// --- Sending

// `what` has an `address`, and may have a `method`, and milliseconds `after` which it is sent.
function send(what, number) {
  const url = new URL(what.address, location.href);
  // An address of its own, by which the browser's measurement is found; and no cache makes equal ones wait in line.
  url.searchParams.set("request", `${serial}-${number}`);
  const options = { method: what.method ?? "GET", cache: "no-store", headers: {} };
  if (what.method === "POST") {
    options.headers["X-CSRFToken"] = form.elements.csrfmiddlewaretoken.value;
  }
  const request = { number, begin: performance.now(), end: null };
  const arrives = async () => {
    if (what.after) await new Promise((resolve) => setTimeout(resolve, what.after));
    request.begin = performance.now();
    const response = await fetch(url, options);
    request.status = response.status;
    request.process = response.headers.get("Lab-Process");
    request.thread = response.headers.get("Lab-Thread");
    // Read to the end and keep nothing: fifty downloads would not fit.
    await response.body?.pipeTo(new WritableStream({ write: () => void (request.first ??= performance.now()) }));
    request.ok = response.ok && !response.redirected;
  };
  request.done = arrives()
    .catch(() => {})
    .then(async () => {
      request.end = performance.now();
      request.measured = request.ok ? await measurement(url.href) : null;
      if (!request.measured) return;
      request.begin = request.measured.startTime;
      request.sent = request.measured.requestStart;
      request.end = request.measured.responseEnd;
      const took = request.measured.serverTiming.find((entry) => entry.name === "view");
      if (took) {
        request.first = request.measured.responseStart;
        request.turn = Math.max(request.sent, request.first - took.duration);
      } else {
        // A stream. Its headers may be there long before the first piece, which only the page itself can see.
        request.first = Math.min(Math.max(request.first ?? 0, request.measured.responseStart), request.end);
        request.turn = request.sent;
      }
    });
  return request;
}

async function measurement(address) {
  for (const begin = performance.now(); performance.now() - begin < MEASURED_WITHIN; ) {
    const [entry] = performance.getEntriesByName(address);
    if (entry?.requestStart) return entry;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return null;
}

// --- A run: its figures

function mostAtATime(requests) {
  // A view begins to count a little late: by the clock of the browser it may overlap with the one that made room.
  const begins = (request) => request.turn + Math.min(50, (request.first - request.turn) / 2);
  // At the same moment an end counts before a beginning.
  const edges = requests.flatMap((request) => [[begins(request), 1], [request.first, -1]]);
  edges.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  let now = 0;
  let most = 0;
  for (const [, step] of edges) most = Math.max(most, (now += step));
  return most;
}

function letters(requests) {
  const found = new Map();
  for (const request of [...requests].sort((one, other) => one.sent - other.sent)) {
    const key = `${request.process} ${request.thread}`;
    if (!found.has(key)) found.set(key, found.size);
    request.worker = found.get(key);
  }
  return found.size;
}

const letter = (index) => (index < 26 ? String.fromCharCode(65 + index) : String(index + 1));

// --- A run: what is seen of it

class Run {
  // `rounds`: lists of what to send, each when the one before has ended.
  constructor(element, rounds) {
    this.element = element;
    this.rounds = rounds;
    this.count = rounds.flat().length;
    this.begin = performance.now();
    this.requests = [];
    this.part("failures").hidden = true;
    this.part("rows").replaceChildren();
    this.part("table").replaceChildren();
    this.part("chart").setAttribute("aria-label", fill(this.part("chart").dataset.label, this.count));
    this.element.classList.toggle("many", this.count > MANY);
    this.rows = rounds.flat().map((what) => new Row(this.part("rows"), what.label));
  }

  part(name) {
    return this.element.querySelector(`[data-${name}]`);
  }

  get span() {
    return Math.max(1, ...this.requests.map((request) => (request.end ?? performance.now()) - this.begin));
  }

  draw(span) {
    for (const request of this.requests) this.rows[request.number].draw(request, this.begin, span);
    const axis = this.part("axis");
    // Below the bars, and not their labels.
    axis.style.left = `${this.part("rows").offsetLeft + this.rows[0].bars.offsetLeft}px`;
    drawAxis(axis, span);
  }

  conclude() {
    this.begin = Math.min(...this.requests.map((request) => request.begin));
    const good = this.requests.filter((request) => request.measured);
    this.failures = this.count - good.length;
    if (this.failures) {
      this.part("failures").textContent = fill(this.part("failures").dataset.text, this.failures);
      this.part("failures").hidden = false;
    }
    this.part("total").textContent = duration(this.span);
    if (good.length) {
      const threads = letters(good);
      const processes = new Set(good.map((request) => request.process)).size;
      this.part("processes").textContent = processes;
      this.part("threads").textContent = threads;
      this.part("longest").textContent = duration(Math.max(...good.map((request) => request.end - request.sent)));
      this.part("most").textContent = mostAtATime(good);
    }
    this.part("table").replaceChildren(...this.requests.map((request) => this.tableRow(request)));
  }

  tableRow(request) {
    const time = (moment) => (!request.measured ? "–" : duration(moment - this.begin));
    const row = document.createElement("tr");
    const head = cell("th", `${request.number + 1} ${this.rows[request.number].label}`);
    head.scope = "row";
    const thread = request.worker === undefined ? "–" : `${letter(request.worker)} ${request.thread}`;
    const texts = [request.sent, request.turn, request.first, request.end].map(time);
    texts.push(request.status ?? "–", request.process ?? "–", thread);
    row.append(head, ...texts.map((text) => cell("td", text)));
    return row;
  }
}

function cell(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

class Row {
  constructor(parent, label = "") {
    this.label = label;
    this.letter = cell("span", "");
    this.letter.className = "letter";
    this.bars = cell("div", "");
    this.bars.className = "bars";
    const words = cell("span", label);
    words.className = "label";
    parent.append(this.letter, words, this.bars);
    this.parts = new Map();
  }

  draw(request, begin, span) {
    const end = request.end ?? performance.now();
    if (request.measured) {
      this.part("pending", 0, 0, span);
      this.part("queued", request.begin - begin, request.sent - begin, span);
      this.part("waiting", request.sent - begin, request.turn - begin, span);
      this.part("working", request.turn - begin, request.first - begin, span);
      this.part("receiving", request.first - begin, request.end - begin, span);
    } else {
      // What has ended may not be measured yet.
      this.part(request.measured === undefined ? "pending" : "failed", request.begin - begin, end - begin, span);
    }
    if (request.worker !== undefined) {
      this.letter.textContent = letter(request.worker);
      for (const element of [this.letter, this.bars]) element.dataset.worker = request.worker % COLOURS;
    }
  }

  // From JavaScript and not as an attribute, a style is no matter of a Content-Security-Policy.
  part(name, from, to, span) {
    if (!this.parts.has(name)) {
      if (to <= from) return;
      const element = document.createElement("i");
      element.className = name;
      this.bars.append(element);
      this.parts.set(name, element);
    }
    const { style } = this.parts.get(name);
    style.left = `${(100 * from) / span}%`;
    style.width = `${(100 * Math.max(0, to - from)) / span}%`;
  }
}

function drawAxis(axis, span) {
  const rough = span / (axis.clientWidth < 360 ? 3 : 5);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((each) => each * power >= rough) ?? 10);
  const ticks = Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step);
  axis.replaceChildren(
    ...ticks.map((moment) => {
      const tick = document.createElement("div");
      tick.append(cell("span", tickLabel(moment, step)));
      // The last one would stand out over the edge.
      tick.classList.toggle("last", moment > span * 0.9);
      tick.style.left = `${(100 * moment) / span}%`;
      return tick;
    }),
  );
}

function tickLabel(moment, step) {
  if (moment === 0) return "0";
  if (step < 100) return unit("millisecond", step < 1 ? 1 : 0)(moment);
  return unit("second", step < 1000 ? 1 : 0)(moment / 1000);
}

// --- One run at a time

const buttons = document.querySelectorAll(".lab .button");
let busy = false;

// All that `redraw` draws has one scale, so that it can be compared.
function redraw(drawn) {
  const span = Math.max(...drawn.map((run) => run.span));
  for (const run of drawn) run.draw(span);
}

async function perform(run, drawn = [run]) {
  serial += 1;
  status.textContent = status.dataset.running;
  performance.clearResourceTimings();
  run.begin = performance.now();

  let running = true;
  const animate = () => {
    if (!running) return;
    redraw(drawn);
    requestAnimationFrame(animate);
  };
  // Bars that grow are for those who like things to move.
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) animate();
  for (const round of run.rounds) {
    const sent = round.map((what, index) => send(what, run.requests.length + index));
    run.requests.push(...sent);
    await Promise.all(sent.map((request) => request.done));
  }
  running = false;
  run.conclude();
  redraw(drawn);
  status.textContent = fill(status.dataset[run.failures ? "failed" : "done"], run.count);
}

// Two at a time would wait for each other.
async function alone(task) {
  if (busy) return;
  busy = true;
  // Not `disabled`, which would lose the focus of who pressed it.
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  try {
    await task();
  } finally {
    busy = false;
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }
}

// --- The steps

const rounds = data("rounds");
for (const [index, step] of document.querySelectorAll("[data-step]").entries()) {
  const element = step.querySelector("[data-run]");
  const button = step.querySelector("button");
  const see = step.querySelector("[data-see]");
  // The rows show how many there will be.
  new Run(element, rounds[index]);
  element.hidden = button.hidden = false;
  button.addEventListener("click", () =>
    alone(async () => {
      step.classList.remove("idle");
      await perform(new Run(element, rounds[index]));
      see.hidden = false;
      status.textContent += ` ${see.textContent}`;
    }),
  );
}

// --- A workload

async function start() {
  const workload = workloads.get(form.elements.workload.value);
  const kind = form.elements.kind.value;
  const what = { address: workload.kinds[kind].address, method: workload.method };
  const element = document.getElementById("run").content.firstElementChild.cloneNode(true);
  const run = new Run(element, [Array(form.elements.requests.valueAsNumber).fill(what)]);
  run.workload = workload;
  run.part("name").textContent = workload.name;
  run.part("kind").textContent = kind;
  run.part("why").textContent = workload.kinds[kind].why;
  runs.unshift(run);
  shown.prepend(element);
  for (const old of runs.splice(RUNS_SHOWN)) old.element.remove();
  empty.hidden = true;
  await perform(run, runs.filter((other) => other.workload === workload));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  alone(start);
});

form.hidden = false;

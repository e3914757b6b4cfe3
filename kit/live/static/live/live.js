// Keeps a page live: WebSocket where there is one, else the event stream, else polling, with one message format:
// {"cursor": "12", "changes": [{"id": "3", "html": "<li …>" or null}]}. The cursor is all there is to remember:
// whoever comes back with it gets what was missed. What a message has `announced` besides is kept by nobody.

const FIRST_RETRY = 500;
const LAST_RETRY = 15000;
// A WebSocket or a stream that says nothing for longer than two of the server's heartbeats is dead.
const SILENCE = 45000;
// Polling where the server can't hold the answer until there is one.
const POLL = 3000;
const POLL_HIDDEN = 30000;
const LONG_POLL_SECONDS = 25;
// A page that polls only because something better failed tries that again after this many milliseconds.
const TRY_BETTER = 60000;
const FORBIDDEN = 4403;
const RELOAD = 4410;

class Reload extends Error {}

// The visitor may not, or no longer, follow the topic.
class Forbidden extends Error {}

// Too many requests from this address: the server says how many seconds to wait at least.
class Refused extends Error {
  constructor(response) {
    super("429");
    this.wait = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  }
}

// Each transport is a function (live, onOpen) whose promise ends, or fails, when the connection does.
const TRANSPORTS = {
  websocket(live, onOpen) {
    return new Promise((resolve, reject) => {
      const address = live.address("ws");
      address.protocol = address.protocol.replace("http", "ws");
      const socket = new WebSocket(address);
      const silence = new Silence(() => socket.close());
      live.cut = () => socket.close();
      socket.onmessage = (event) => {
        silence.broken();
        onOpen();
        live.receive(JSON.parse(event.data));
      };
      socket.onclose = (event) => {
        silence.end();
        if (event.code === RELOAD) reject(new Reload());
        // A browser does not tell a refused handshake from a failed one: polling, the last to be tried, is told.
        else if (event.code === FORBIDDEN) reject(new Forbidden());
        else resolve();
      };
    });
  },

  events(live, onOpen) {
    return new Promise((resolve, reject) => {
      const source = new EventSource(live.address("events"));
      const end = (settle) => {
        silence.end();
        source.close();
        settle();
      };
      const silence = new Silence(() => end(resolve));
      live.cut = () => end(resolve);
      source.onmessage = (event) => {
        silence.broken();
        onOpen();
        live.receive(JSON.parse(event.data));
      };
      // The browser's own retry knows no back-off and no other transport: come back through ours.
      source.onerror = () => end(resolve);
      source.addEventListener("reload", () => end(() => reject(new Reload())));
      source.addEventListener("forbidden", () => end(() => reject(new Forbidden())));
    });
  },

  async polling(live, onOpen) {
    const until = Date.now() + TRY_BETTER;
    for (let asked = false; ; asked = true) {
      const abort = new AbortController();
      live.cut = () => abort.abort();
      const holds = live.transports.includes("events");
      const address = live.address("changes");
      // Not the first: the page is to learn soon that this way is open.
      if (holds && asked) address.searchParams.set("wait", LONG_POLL_SECONDS);
      const response = await fetch(address, { signal: abort.signal });
      if (response.status === 403) throw new Forbidden();
      if (response.status === 410) throw new Reload();
      if (response.status === 429) throw new Refused(response);
      if (!response.ok) throw new Error(`${response.status}`);
      live.transports = (response.headers.get("Live-Transports") ?? "polling").split(" ");
      onOpen();
      live.receive(await response.json());
      if (live.transports[0] !== "polling" && Date.now() > until) return;
      if (!holds) {
        // Not all pages at the same moment.
        await live.pause((document.hidden ? POLL_HIDDEN : POLL) * (0.75 + Math.random() / 2));
      }
    }
  },
};

class Silence {
  constructor(onTooLong) {
    this.onTooLong = onTooLong;
    this.broken();
  }

  broken() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.onTooLong, SILENCE);
  }

  end() {
    clearTimeout(this.timer);
  }
}

class Live {
  constructor({ topic, cursor, transports, onChanges, onStatus, onAnnounced }) {
    Object.assign(this, { topic, cursor, transports, onChanges, onStatus, onAnnounced });
    // A page that was out of sight or offline asks at once when it is back.
    const hurry = () => !document.hidden && this.wake?.();
    document.addEventListener("visibilitychange", hurry);
    window.addEventListener("online", hurry);
    // Kept open, a connection keeps the page out of the browser's back/forward cache.
    this.runs = 0;
    window.addEventListener("pagehide", () => {
      this.runs += 1;
      this.cut?.();
    });
    window.addEventListener("pageshow", (event) => event.persisted && !this.forbidden && this.run());
  }

  address(name) {
    const address = new URL(`/live/${this.topic}/${name}`, location.href);
    address.searchParams.set("after", this.cursor);
    return address;
  }

  receive({ cursor, changes, announced = [] }) {
    this.cursor = cursor;
    if (changes.length) this.onChanges(changes);
    for (const message of announced) this.onAnnounced?.(message);
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async run() {
    const run = ++this.runs;
    let failures = 0;
    let choice = 0;
    while (run === this.runs) {
      const name = this.transports[Math.min(choice, this.transports.length - 1)] ?? "polling";
      let opened = false;
      let wait = 0;
      const onOpen = () => {
        if (opened) return;
        opened = true;
        failures = 0;
        this.onStatus(name);
      };
      try {
        await TRANSPORTS[name](this, onOpen);
      } catch (error) {
        if (error instanceof Reload) return location.reload();
        if (error instanceof Forbidden) {
          this.forbidden = true;
          return this.onStatus("forbidden");
        }
        wait = error.wait ?? 0;
      }
      if (run !== this.runs) return;
      if (name === "polling" && opened && !wait) {
        choice = 0;
        continue;
      }
      this.onStatus("connecting");
      // One that never opened may never do: the next kind has its turn, and after the last the first again, later.
      choice = opened ? 0 : (choice + 1) % this.transports.length;
      if (!opened && choice === 0) failures += 1;
      const retry = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures);
      await this.pause(wait + retry * (0.5 + Math.random()));
    }
  }
}

/**
 * Start to follow `topic` from `cursor`. `transports`: an array of "websocket", "events", "polling", best first.
 * `onChanges([{id, html}])` is called with every batch of changes, `onStatus(name)` with the transport in use,
 * "connecting", or at last "forbidden", after which nothing more comes. `onAnnounced(message)`, if there is one, is
 * called with whatever the server announces.
 */
export function connect(options) {
  new Live(options).run();
}

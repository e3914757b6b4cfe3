// Keeps a page live: over a WebSocket if possible, else an event stream, else polling, with one message format:
// {"cursor": "12", "changes": [{"id": "3", "html": "<li …>" or null}]}. A page that reconnects with its last cursor
// gets the changes that it missed, but no messages `announced` meanwhile.

const FIRST_RETRY = 500;
const LAST_RETRY = 15000;
// A connection that is silent for longer than two of the server's heartbeats is dead.
const SILENCE = 45000;
// A transport without an answer for this long is given up: its request may have gone to a host that has just failed.
const OPEN_WITHIN = 15000;
// Between polls, where the server can't hold the request until there is a change.
const POLL = 3000;
const POLL_HIDDEN = 30000;
const LONG_POLL_SECONDS = 25;
// A page that polls only because a better transport failed retries that after this many milliseconds.
const TRY_BETTER = 60000;
const FORBIDDEN = 4403;
const RELOAD = 4410;

class Reload extends Error {}

// The visitor may not follow the topic, or no longer.
class Forbidden extends Error {}

// Too many requests from this address. The server sets the minimum wait in seconds.
class Refused extends Error {
  constructor(response) {
    super("429");
    this.wait = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  }
}

// Each transport is a function (live, onOpen) whose promise settles when the connection ends.
const TRANSPORTS = {
  websocket(live, onOpen) {
    return new Promise((resolve, reject) => {
      const address = live.address("ws");
      address.protocol = address.protocol.replace("http", "ws");
      const socket = new WebSocket(address);
      // Without waiting for the close event: a host that is gone never confirms it.
      live.cut = () => {
        socket.close();
        resolve();
      };
      const silence = new Silence(live.cut);
      socket.onmessage = (event) => {
        silence.broken();
        onOpen();
        live.receive(JSON.parse(event.data));
      };
      socket.onclose = (event) => {
        silence.end();
        if (event.code === RELOAD) reject(new Reload());
        // A refused handshake looks like a failed one here: only polling, the last transport, learns of a 403.
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
      live.cut = () => end(resolve);
      const silence = new Silence(live.cut);
      source.onmessage = (event) => {
        silence.broken();
        onOpen();
        live.receive(JSON.parse(event.data));
      };
      // The browser's own retry has no back-off and no other transport, so this one handles it.
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
      setTimeout(live.cut, SILENCE);
      const holds = live.transports.includes("events");
      const address = live.address("changes");
      // Not for the first request: the page should learn soon that the transport works.
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
        // Spread the pages' requests.
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
    // A page that was hidden or offline asks as soon as it is back.
    const hurry = () => !document.hidden && this.wake?.();
    document.addEventListener("visibilitychange", hurry);
    window.addEventListener("online", hurry);
    // An open connection keeps the page out of the browser's back/forward cache.
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
      const opening = setTimeout(() => opened || this.cut(), OPEN_WITHIN);
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
      clearTimeout(opening);
      if (run !== this.runs) return;
      if (name === "polling" && opened && !wait) {
        choice = 0;
        continue;
      }
      this.onStatus("connecting");
      // If the transport never opened, try the next one; after the last, start again later.
      choice = opened ? 0 : (choice + 1) % this.transports.length;
      if (!opened && choice === 0) failures += 1;
      const retry = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures);
      await this.pause(wait + retry * (0.5 + Math.random()));
    }
  }
}

/**
 * Follow `topic` from `cursor`. `transports`: an array of "websocket", "events", "polling", best first.
 * `onChanges([{id, html}])` is called with each batch of changes. `onStatus(name)` gets the transport in use,
 * "connecting", or "forbidden", after which nothing more follows. The optional `onAnnounced(message)` gets each message
 * that the server announces.
 */
export function connect(options) {
  new Live(options).run();
}

// A conversation. Messages arrive by its topic (live.js), and are sent through a WebSocket of its own, or by the form's
// POST while there is none. The tab keeps unsent messages in order until the server has answered. Without an answer, a
// message is sent again with the same token, and saved once. Without this script, the form works as usual.

import { connect } from "live";

const FIRST_RETRY = 500;
const LAST_RETRY = 15000;
const ANSWER_WITHIN = 10000;
// Between two messages: the server allows 20 in 10 seconds (WEBSOCKET_RATE), signs of typing included.
const PACE = 700;
const SAY_TYPING_EVERY = 3000;
const SAY_HERE_EVERY = 20000;
const FORBIDDEN = 4403;

const log = document.querySelector(".log");
const list = document.getElementById("messages");
const form = document.querySelector("form.compose");
const field = form.elements.text;
const problem = form.querySelector("[role=alert]");
const presence = document.querySelector(".presence");
const status = document.querySelector("[data-live-status]");
const { me, other, liveTopic: topic } = list.dataset;
const transports = list.dataset.liveTransports.split(" ");

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const retry = (failures) => Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures) * (0.5 + Math.random());

// --- Messages

const find = (name, value) => Array.from(list.children).find((item) => item.dataset[name] === value);
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

function tellTime(root) {
  for (const time of root.querySelectorAll("time")) time.textContent = clock.format(new Date(time.dateTime));
}

function show(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  tellTime(template.content);
  const item = template.content.firstElementChild;
  // It may already be here as one of the sent messages.
  find("token", item.dataset.token)?.remove();
  const later = ({ dataset: { id } }) => !id || Number(id) > Number(item.dataset.id);
  list.insertBefore(item, Array.from(list.children).find(later) ?? null);
}

function apply(changes) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 50;
  for (const { id, html } of changes) html === null ? find("id", id)?.remove() : show(html);
  if (atEnd) log.scrollTop = log.scrollHeight;
  until.typing = 0;
}

// --- Unsent messages

const KEPT = `${topic} ${me}`;
const unsent = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
const keep = () => sessionStorage.setItem(KEPT, JSON.stringify(unsent));
let sending = false;
let forbidden = false;
let socket = null;
let answered = null;

function showUnsent({ token, text }) {
  const item = document.getElementById("unsent").content.firstElementChild.cloneNode(true);
  item.dataset.token = token;
  item.querySelector(".text").textContent = text;
  list.append(item);
  log.scrollTop = log.scrollHeight;
}

async function sendAll() {
  if (sending) return;
  sending = true;
  for (let failures = 0; unsent.length && !forbidden; ) {
    const message = unsent[0];
    try {
      const { errors } = await (socket?.readyState === WebSocket.OPEN ? send(message) : post(message));
      failures = 0;
      unsent.shift();
      keep();
      const item = find("token", message.token);
      if (errors) {
        item?.remove();
        field.value ||= message.text;
        problem.textContent = errors.join(" ");
      } else {
        item?.classList.replace("unsent", "sent");
      }
      await pause(PACE);
    } catch {
      await pause(retry(failures++));
    }
  }
  sending = false;
}

function send(message) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.close(), ANSWER_WITHIN);
    answered = (answer) => {
      clearTimeout(timer);
      answer ? resolve(answer) : reject();
    };
    socket.send(JSON.stringify(message));
  });
}

async function post(message) {
  const body = new FormData(form);
  for (const [name, value] of Object.entries(message)) body.set(name, value);
  const signal = AbortSignal.timeout(3 * ANSWER_WITHIN);
  const response = await fetch(location.href, { method: "POST", body, headers: { Accept: "application/json" }, signal });
  // The conversation was deleted, or the visitor is signed out.
  if ([403, 404].includes(response.status)) showStatus("forbidden");
  if (!response.ok && response.status !== 422) throw new Error(`${response.status}`);
  return response.json();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text) return;
  // Not crypto.randomUUID, which needs HTTPS.
  const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)));
  const message = { token: bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(""), text };
  unsent.push(message);
  keep();
  showUnsent(message);
  field.value = problem.textContent = "";
  sendAll();
});

field.addEventListener("keydown", (event) => {
  // Enter also ends a syllable in Korean or a word in Japanese, which must not send.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

// --- The WebSocket, and who is here

const until = { here: 0, typing: 0 };
let saidTyping = 0;
let lost = 0;

function open() {
  const address = new URL(list.dataset.socket, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.onopen = () => {
    lost = 0;
  };
  socket.onmessage = (event) => answered(JSON.parse(event.data));
  socket.onclose = ({ code }) => {
    answered?.(null);
    if (code === FORBIDDEN) showStatus("forbidden");
    if (!forbidden) setTimeout(open, retry(lost++));
  };
}

function tell(sign) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ [sign]: true }));
}

function hear({ came, here, left, typing }) {
  // A newcomer doesn't know who is here. And another page of ours that was closed has announced that we left.
  if (came === other || left === me) tell("here");
  if ([came, here, typing].includes(other)) until.here = Date.now() + 2.5 * SAY_HERE_EVERY;
  if (typing === other) until.typing = Date.now() + 1.5 * SAY_TYPING_EVERY;
  if (left === other) until.here = until.typing = 0;
  showPresence();
}

function showPresence() {
  const sign = ["typing", "here"].find((each) => Date.now() < until[each]);
  const text = presence.dataset[sign] ?? "";
  if (presence.textContent !== text) presence.textContent = text;
}

function showStatus(name) {
  if (forbidden) return;
  forbidden = name === "forbidden";
  status.dataset.status = name;
  status.textContent = status.dataset[name];
  if (forbidden) socket?.close();
  // Not before the page can receive the replies.
  else if (name !== "connecting" && !socket && transports.includes("websocket")) open();
}

field.addEventListener("input", () => {
  if (Date.now() - saidTyping < SAY_TYPING_EVERY) return;
  saidTyping = Date.now();
  tell("typing");
});
setInterval(() => tell("here"), SAY_HERE_EVERY);
setInterval(showPresence, 1000);
// An open WebSocket keeps the page out of the browser's back/forward cache.
window.addEventListener("pagehide", () => socket?.close());

tellTime(list);
log.scrollTop = log.scrollHeight;
unsent.filter(({ token }) => !find("token", token)).forEach(showUnsent);
sendAll();
connect({
  topic,
  cursor: list.dataset.liveCursor,
  transports,
  onChanges: apply,
  onStatus: showStatus,
  onAnnounced: hear,
});
